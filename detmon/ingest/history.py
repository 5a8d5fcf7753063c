"""What only the store can tell about a log: that its scores or its labels are no longer those of its model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from detmon.formats.contract import Warned
from detmon.stats.floors import BINS, Begin, begin, moved
from detmon.store import Connection, statement

if TYPE_CHECKING:
    import pyarrow as pa

    from detmon.stats.floors import Counts

    BySource = Mapping[str | None, Counts]

LOOK_BACK = timedelta(days=28)
ENOUGH_BOXES = 1000
NEW_LABELS = 0.3
"""Share of a log's boxes whose labels the model never had before that makes `label_map_changed`."""


@dataclass(frozen=True)
class History:
    """What a model logged in the 28 days before a batch.

    `together`: its confidences in 1,000 bins; `scores`: those of each source, empty while nobody needs them.
    """

    together: Counts
    scores: BySource
    floors: tuple[float | None, float | None]
    labels: frozenset[str]


@dataclass
class Trait:
    """The same of one log and model, gathered part by part."""

    scores: dict[str | None, Counts] = field(default_factory=dict)
    floors: tuple[float | None, float | None] = (None, None)
    labels: Counter[str] = field(default_factory=Counter)

    def add(self, rows: pa.Table) -> None:
        """Take in rows of one model (labels dictionary-encoded)."""
        import pyarrow.compute as pc

        floors = pc.min_max(rows["confidence_floor"]).as_py()
        least, most = self.floors
        self.floors = (_least(least, floors["min"]), _most(most, floors["max"]))
        for batch in rows.to_batches():
            self._add_scores(batch)
            for count in batch["detections"].flatten().field("label").value_counts().to_pylist():
                self.labels[count["values"]] += count["counts"]

    def _add_scores(self, rows: pa.RecordBatch) -> None:
        import numpy as np

        counts = rows["n_detections"].to_numpy().astype(np.int64)
        sources = rows["source"].dictionary_encode(null_encoding="encode")
        scores = rows["detections"].flatten().field("confidence").to_numpy(zero_copy_only=False).astype(np.float64)
        bins = np.floor(scores * 1e6 + 0.5) // 1000
        known = ~np.isnan(bins)
        names = sources.dictionary.to_pylist()
        cells = np.repeat(sources.indices.to_numpy().astype(np.int64), counts)[known] * BINS
        cells += bins[known].astype(np.int64).clip(max=BINS - 1)
        found = np.bincount(cells, minlength=BINS * len(names)).reshape(-1, BINS)
        for name, of_source in zip(names, found, strict=True):
            self.scores[name] = self.scores.get(name, 0) + of_source


def look_back(con: Connection, model_id: str, start: datetime, end: datetime) -> History:
    """The model's rollups from 28 days before `start` up to `end`."""
    span = {"model_id": model_id, "start": start - LOOK_BACK, "end": end}
    together = _bins(con.execute(statement("history_scores"), span).fetchall())
    sources = [source for (source,) in con.execute(statement("history_sources"), span).fetchall()]
    scores = {sources[0]: together} if len(sources) == 1 else {}
    least, most = con.execute(statement("history_floors"), span).fetchall()[0]
    labels = frozenset(label for (label,) in con.execute(statement("history_labels"), span).fetchall())
    return History(together, scores, (least, most), labels)


def look_closer(con: Connection, model_id: str, start: datetime, end: datetime, before: History, now: Trait) -> History:
    """The same, with the scores of each source where those of all sources together seem to have moved."""
    if before.scores or not _moved(before.together, sum(now.scores.values(), _bins([]))):
        return before
    span = {"model_id": model_id, "start": start - LOOK_BACK, "end": end}
    return replace(before, scores=_by_source(con.execute(statement("history_scores_by_source"), span).fetchall()))


def _bins(rows: list[tuple[int, int]]) -> Counts:
    import numpy as np

    found = np.zeros(BINS, np.int64)
    for bin, n in rows:
        found[bin] = n
    return found


def _by_source(rows: list[tuple[str | None, int, int]]) -> BySource:
    return {name: _bins([row[1:] for row in rows if row[0] == name]) for name in {row[0] for row in rows}}


def findings(model_id: str, now: Trait, before: History) -> list[Warned]:
    """`floor_moved` and `label_map_changed` of a whole log against its model's history."""
    found = []
    if now.floors[0] is not None and before.floors[0] is not None and now.floors != before.floors:
        text = f"{model_id}: confidence_floor {_span(now.floors)}, before {_span(before.floors)}"
        found.append(Warned("floor_moved", f"{text}: mean confidence and counts are not comparable", 1))
    elif step := next(_steps(now.scores, before.scores), None):
        source, since, earlier = step
        of = f"{model_id}, {source}" if source is not None and len(before.scores) > 1 else model_id
        text = f"{of}: scores begin at {since.lowest:.2f}, before at {earlier.lowest:.2f}"
        found.append(Warned("floor_moved", f"{text}: mean confidence and counts are not comparable", 1))
    new = {label: n for label, n in now.labels.items() if label not in before.labels}
    total, unknown = now.labels.total(), sum(new.values())
    known = before.together.sum() >= ENOUGH_BOXES or len(new) == len(
        now.labels
    )  # a short history lacks labels by chance
    if before.labels and known and total >= ENOUGH_BOXES and unknown > NEW_LABELS * total:
        names = ", ".join(sorted(new, key=lambda label: -new[label])[:3])
        text = f"{model_id}: {unknown} of {total} boxes have labels it never had before ({names})"
        found.append(Warned("label_map_changed", f"{text}: another label map? Drift will show it", unknown))
    return found


def _steps(now: BySource, before: BySource) -> Iterator[tuple[str | None, Begin, Begin]]:
    """Sources of both whose scores begin elsewhere, and where they begin now and began."""
    for source in now.keys() & before.keys():
        since, earlier = begin(now[source]), begin(before[source])
        if since is not None and earlier is not None and moved([earlier], [since]):
            yield source, since, earlier


def _moved(before: Counts, since: Counts) -> bool:
    one, other = begin(before), begin(since)
    return one is not None and other is not None and moved([one], [other])


def _least(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else min(one, other)


def _most(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else max(one, other)


def _span(floors: tuple[float | None, float | None]) -> str:
    least, most = floors
    return f"{least:.3g}" if least == most else f"{least:.3g} to {most:.3g}"
