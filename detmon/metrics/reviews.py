"""The metrics that come from reviews: `precision`, `recall` and `feedback_score`, by the day of the prediction.

The rules and the refusals are those of `quality show`; each window is estimated from its own reviews.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from itertools import product
from typing import TYPE_CHECKING, Any

from detmon import reviewed
from detmon.metrics import Labels, Measured, Selection, Wanted, Window, key_sql
from detmon.reviewed import OF_A_CLASS, Estimated, Reviews, Sample, Settings, least
from detmon.store import Connection, statement
from detmon.times import Period, parse_zone

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]

REASONS = {"too_few": "insufficient_samples"}
"""The reasons of reviews that metrics call otherwise."""


def measure_reviews(
    con: Connection, selection: Selection, windows: Sequence[Window], batch: Sequence[Wanted]
) -> dict[Wanted, dict[Window, dict[Labels, Measured]]]:
    """Measure all of `batch` in the windows; one without reviews says so."""
    spans = {"starts": [start for start, _ in windows], "ends": [end for _, end in windows]}
    found = con.execute(statement("review_windows"), {**spans, "model": selection.model_id}).fetchall()
    reviewed_windows = set(found)
    zone = _zone(con, selection.model_id)
    result: dict[Wanted, dict[Window, dict[Labels, Measured]]] = {one: {} for one in batch}
    for window in windows:
        if window in reviewed_windows:
            for one, measured in _measure_window(con, selection, window, zone, batch).items():
                result[one][window] = measured
        elif not selection.by:
            for one in batch:
                result[one][window] = {(): Measured(None, 0, reason="no_feedback")}
    return result


def _zone(con: Connection, model_id: str) -> tzinfo:
    found = con.execute(statement("model_zone"), {"model": model_id}).fetchall()
    return parse_zone(found[0][0]) if found and found[0][0] else UTC


def _measure_window(
    con: Connection, selection: Selection, window: Window, zone: tzinfo, batch: Sequence[Wanted]
) -> dict[Wanted, dict[Labels, Measured]]:
    import numpy as np

    settings = next((one.metric.reviews for one in batch if one.metric.reviews), reviewed.DEFAULTS)
    reviews = reviewed.read(con, selection.model_id, Period(*window, ""), zone, settings)
    keys = [key for key in selection.by if key != "label"]
    values = {key: _values(con, key) for key in {*keys, *(key for key, _ in selection.where if key != "label")}}
    kept = np.ones(len(reviews.images), bool)
    for key, value in selection.where:
        if key != "label":
            kept &= values[key] == value
    only = dict(selection.where).get("label")
    groups = list(_groups(kept, [values[key] for key in keys]))
    weights = {False: reviewed.sample(reviews), True: reviewed.sample(reviews, exhaustive=True)}
    result: dict[Wanted, dict[Labels, Measured]] = {}
    for one in batch:
        result[one] = {}
        for (sets, chosen), label in product(groups, _labels(reviews, selection, only)):
            labelled = dict(zip(keys, sets, strict=True)) | ({"label": label} if label is not None else {})
            shown = tuple((key, labelled[key]) for key in selection.by)
            measured = _measured(one.metric.name, reviews, weights, chosen, label)
            if measured.n or not selection.by:
                result[one][shown] = measured
    return result


def _values(con: Connection, key: str) -> Any:
    """The key's value of each image that has a review."""
    import numpy as np

    bound: dict[str, Any] = {}
    text = statement("review_key").format(key=key_sql(key, "tag", bound))
    return np.array([value for (value,) in con.execute(text, bound).fetchall()], dtype=object)


def _groups(kept: Flags, values: Sequence[Any]) -> Iterator[tuple[tuple[str, ...], Flags]]:
    """The sets of values that occur in the images `kept`, each with its images."""
    import numpy as np

    if not values:
        yield (), kept
        return
    rows = list(zip(*values, strict=True))
    for row in sorted({rows[place] for place in np.flatnonzero(kept).tolist()}):
        yield row, kept & np.array([other == row for other in rows], bool)


def _labels(reviews: Reviews, selection: Selection, only: str | None) -> Sequence[str | None]:
    if only is not None:
        return [only]
    return reviews.verdicts.labels if "label" in selection.by else [None]


def _measured(
    name: str, reviews: Reviews, weights: Mapping[bool, Sample], chosen: Flags, label: str | None
) -> Measured:
    code = None if label is None else _code(reviews, label)
    of = reviewed.recall if name == "recall" else reviewed.precision
    sample = _unweighted(reviews) if name == "feedback_score" else weights[name == "recall"]
    pair, part = of(reviews, code), sample.of(chosen)
    if not sample.speaks:
        there = chosen & reviews.images.complete
        return Measured(None, int(pair[1][there].sum()), reason=sample.reasons[-1].code)
    found = reviewed.estimate(reviews, part, pair, _least(reviews.settings, label), of_class=label is not None)
    return _shown(found, interval=name != "feedback_score")


def _code(reviews: Reviews, label: str) -> int:
    labels = list(reviews.verdicts.labels)
    return labels.index(label) if label in labels else len(labels)


def _least(settings: Settings, label: str | None) -> reviewed.Least:
    return least(settings) if label is None else OF_A_CLASS


def _unweighted(reviews: Reviews) -> Sample:
    """Every reviewed image alike, whoever chose it."""
    return Sample("reviewed", reviews.images.complete.astype(float))


def _shown(found: Estimated, *, interval: bool) -> Measured:
    ratio = found.ratio
    if ratio is None:
        code = found.reason.code if found.reason else "no_value"
        return Measured(None, found.n, reason=REASONS.get(code, code))
    low, high = (ratio.low, ratio.high) if interval else (None, None)
    return Measured(ratio.value, found.n, low=low, high=high)
