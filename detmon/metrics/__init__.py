"""Every metric, defined once: SQL, unit, bad direction, minimum samples; those of reviews are in `reviews.py`.

`measure` computes many metrics for many windows and label sets of one model in one pass over the rows. Sums are exact:
confidences are counted in integer millionths, latencies in integer microseconds. Only rows with status `ok` count,
except in `error_rate`, `data_age_seconds` and `rejected_rate`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

from detmon.config import Config
from detmon.errors import ConfigError, UnknownName, UsageError
from detmon.metrics import windows as spans
from detmon.metrics.windows import Window as Window
from detmon.store import Connection, pruned_before, statement
from detmon.times import EPOCH, floor_slot

if TYPE_CHECKING:
    from detmon import reviewed
    from detmon.stats import anomaly

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""A label set, in the order of `by`; a row without the field has the label ""."""

LOW_CONFIDENCE = 500_000
"""Millionths; a box below this is of low confidence."""
DIRECTIONS = ("up", "down", "both")
OVER = ("predictions", "detections")

_MICRO = "CAST(round(CAST(confidence AS DOUBLE) * 1e6) AS BIGINT)"
_LATENCY = "CAST(round(CAST(latency_ms AS DOUBLE) * 1e3) AS BIGINT)"
_CONFIDENCES = "CAST(round(confidence_sum * 1e6) AS BIGINT)"
_LOW_BOXES = (
    f"array_length(list_filter(detections, lambda d: round(CAST(d.confidence AS DOUBLE) * 1e6) < {LOW_CONFIDENCE}))"
)
_UNKNOWN = "batch_id IN (SELECT batch_id FROM batches WHERE denominator = 'unknown')"


@dataclass(frozen=True)
class Metric:
    """One metric. `sql` is an aggregate over `over` (predictions or detections); `samples` counts its n.

    `boxes`: `sql` and `samples` over detections instead, for use by label or on one label. `denominator`: needs every
    image to be in the log. `count`: a value also where there are no rows. `quantile`: q of a latency quantile.
    `reviews`: the settings of a metric that comes from reviews, `anomaly`: of its usual range, where not the defaults.
    """

    name: str
    sql: str
    over: str
    unit: str
    bad: str
    min_samples: int
    description: str
    samples: str = "count(*)"
    boxes: tuple[str, str] | None = None
    denominator: bool = False
    count: bool = False
    quantile: float | None = None
    every_status: bool = False
    configured: bool = False
    reviews: reviewed.Settings | None = None
    anomaly: anomaly.Settings | None = None

    @property
    def by_label(self) -> bool:
        """Whether it can be split by label, or taken of one label."""
        return self.boxes is not None or self.over == "detections"


def _quantile(percent: int) -> Metric:
    q = percent / 100
    return Metric(
        f"p{percent}_latency_ms",
        f"quantile_cont(CAST({_LATENCY} AS DOUBLE), {q}) / 1e3",
        "predictions",
        "ms",
        "up",
        math.ceil(round(10 / (1 - q), 6)),
        f"{percent} % of the images took no longer than this",
        samples="count(latency_ms)",
        quantile=q,
    )


CATALOGUE: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "avg_confidence",
            f"sum({_CONFIDENCES}) / sum(confidence_n) / 1e6",
            "predictions",
            "confidence",
            "down",
            30,
            "mean confidence of all boxes",
            samples="sum(confidence_n)",
            boxes=(f"sum({_MICRO}) / count(confidence) / 1e6", "count(confidence)"),
        ),
        *(_quantile(percent) for percent in (50, 90, 95, 99)),
        Metric(
            "avg_latency_ms",
            f"sum({_LATENCY}) / count(latency_ms) / 1e3",
            "predictions",
            "ms",
            "up",
            30,
            "mean latency",
            samples="count(latency_ms)",
        ),
        Metric(
            "prediction_count",
            "count(*)",
            "predictions",
            "images",
            "down",
            0,
            "images the model ran on",
            denominator=True,
            count=True,
        ),
        Metric(
            "detection_count",
            "sum(n_detections)",
            "predictions",
            "boxes",
            "both",
            0,
            "boxes",
            samples="sum(n_detections)",
            boxes=("count(*)", "count(*)"),
            count=True,
        ),
        Metric(
            "detections_per_image",
            "sum(n_detections) / count(*)",
            "predictions",
            "boxes per image",
            "both",
            30,
            "boxes an image",
            denominator=True,
        ),
        Metric(
            "no_detection_rate",
            "count(*) FILTER (n_detections = 0) / count(*)",
            "predictions",
            "share",
            "up",
            30,
            "share of the images without a box",
            denominator=True,
        ),
        Metric(
            "low_confidence_rate",
            f"sum({_LOW_BOXES}) / sum(confidence_n)",
            "predictions",
            "share",
            "up",
            30,
            "share of the boxes with a confidence below 0.5",
            samples="sum(confidence_n)",
            boxes=(f"count(*) FILTER ({_MICRO} < {LOW_CONFIDENCE}) / count(confidence)", "count(confidence)"),
        ),
        Metric(
            "error_rate",
            "count(*) FILTER (status = 'error') / count(*)",
            "predictions",
            "share",
            "up",
            30,
            "share of the inferences that failed",
            denominator=True,
            every_status=True,
        ),
        Metric("class_share", "count(*)", "detections", "share", "both", 30, "share of the boxes that carry the label"),
        Metric(
            "new_class_count",
            "list(DISTINCT label)",
            "predictions",
            "classes",
            "up",
            0,
            "labels that the model did not log in the 28 days before",
            count=True,
        ),
        *(
            Metric(name, "", "predictions", "distance", "up", least, f"distance of {what} from the baseline's")
            for name, least, what in (
                ("class_drift", 200, "the mix of labels"),
                ("confidence_drift", 200, "the confidences"),
                ("count_drift", 100, "the numbers of boxes per image"),
            )
        ),
        Metric(
            "data_age_seconds",
            "max(ts)",
            "predictions",
            "s",
            "up",
            0,
            "time since the newest image",
            every_status=True,
        ),
        Metric(
            "rejected_rate",
            "",
            "predictions",
            "share",
            "up",
            30,
            "share of the records read in this time that were quarantined, of the whole store",
        ),
        Metric("feedback_score", "", "detections", "share", "down", 20, "share of the reviewed boxes that are correct"),
        Metric("precision", "", "detections", "share", "down", 20, "share of all boxes that are correct, from reviews"),
        Metric("recall", "", "detections", "share", "down", 20, "share of all objects that are found, from reviews"),
    )
}
"""The metrics of this module by name."""
DISTANCES = ("class_drift", "confidence_drift", "count_drift")
"""How far a window is from the model's baseline."""
NOT_PRUNED = ("data_age_seconds", "rejected_rate")
"""Those that need no row that `prune` takes: the newest of each source stays, and the records of what was read."""
REVIEWED = ("feedback_score", "precision", "recall")
"""Those that come from reviews."""


def catalogue(config: Config) -> dict[str, Metric]:
    """All metrics: those of this module and the configuration's `[metrics.NAME]`. Raises ConfigError."""
    configured = {name: _configured(name, config.table("metrics", name)) for name in config.table("metrics")}
    return _with_usual(config, {**CATALOGUE, **_of_reviews(config), **configured})


def _with_usual(config: Config, metrics: dict[str, Metric]) -> dict[str, Metric]:
    """The metrics with what `[anomaly]` says, where it says something."""
    if not config.table("anomaly"):
        return metrics
    from detmon.metrics import usual

    found = usual.settings(config)
    return {name: replace(metric, anomaly=found) for name, metric in metrics.items()}


def _of_reviews(config: Config) -> dict[str, Metric]:
    """The metrics that come from reviews, where `[quality]` says something of them."""
    if not config.table("quality"):
        return {}
    from detmon import reviewed

    settings = reviewed.settings(config)
    return {name: replace(CATALOGUE[name], reviews=settings) for name in REVIEWED}


def find(metrics: Mapping[str, Metric], name: str) -> Metric:
    """The metric of this name; raises UnknownName with the nearest."""
    if name not in metrics:
        raise UnknownName("metric", name, metrics)
    return metrics[name]


def _configured(name: str, table: Mapping[str, Any]) -> Metric:
    if name in CATALOGUE:
        raise ConfigError(f"[metrics.{name}]: a metric of this name is built in")
    sql, over, bad, least = table.get("sql"), table.get("over"), table.get("bad", "both"), table.get("min_samples", 30)
    if not isinstance(sql, str) or not sql.strip():
        raise ConfigError(f"[metrics.{name}] needs sql", 'an aggregate, for example sql = "avg(latency_ms)"')
    if over not in OVER:
        raise ConfigError(f"[metrics.{name}] over = {over!r}", 'write over = "predictions" or "detections"')
    if bad not in DIRECTIONS:
        raise ConfigError(f"[metrics.{name}] bad = {bad!r}", 'write bad = "up", "down" or "both"')
    if not isinstance(least, int) or isinstance(least, bool) or least < 0:
        raise ConfigError(f"[metrics.{name}] min_samples = {least!r}", "write a whole number, 0 or more")
    about = str(table.get("description", sql))
    return Metric(name, sql, over, str(table.get("unit", "")), bad, least, about, configured=True)


# --- label sets ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Selection:
    """The rows of one model that pass `where`, split `by` label keys (`source`, `label`, `tag:K`)."""

    model_id: str
    by: tuple[str, ...] = ()
    where: Labels = ()

    @property
    def on_labels(self) -> bool:
        """Whether the boxes' labels are needed."""
        return "label" in self.by or any(key == "label" for key, _ in self.where)


def check_selection(metric: Metric, selection: Selection) -> None:
    """Raise UsageError where `metric` cannot be taken of `selection`."""
    for key in (*selection.by, *(key for key, _ in selection.where)):
        if key not in ("source", "label") and not (key.startswith("tag:") and len(key) > 4):
            raise UnknownName("label", key, ["source", "label", "tag:NAME"])
    if len(selection.by) > 3 or len(set(selection.by)) < len(selection.by):
        raise UsageError(f"by: {', '.join(selection.by)}", "at most three different labels")
    if metric.name == "class_share" and not selection.on_labels:
        raise UsageError("class_share needs a label", "--by label, or --where label=car")
    if selection.on_labels and not metric.by_label:
        raise UsageError(
            f"{metric.name} is a metric of images, which have no label", "of boxes: " + ", ".join(_box_metrics())
        )
    if metric.name in DISTANCES and (selection.by or selection.where):
        raise UsageError(
            f"{metric.name} is of all of a model's rows: no by, no where", "detmon drift check --by source"
        )
    if metric.name == "rejected_rate" and (selection.by or selection.where):
        raise UsageError("rejected_rate is of the whole store: no by, no where")


def _box_metrics() -> list[str]:
    return [name for name, metric in CATALOGUE.items() if metric.by_label]


# --- measuring -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """A metric to measure; `beyond` = (gt or ge, threshold) also counts the latencies beyond a threshold."""

    metric: Metric
    beyond: tuple[str, float] | None = None


@dataclass(frozen=True)
class Measured:
    """A metric in one window and label set: `value` (None: no value, `reason` may say why), n, its 95 % interval.

    `unknown_denominator`: images without boxes are not in the log. `beyond`: so many are beyond the threshold.
    """

    value: float | None
    n: int
    unknown_denominator: bool = False
    beyond: int | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass
class Measurement:
    """What was measured: values by metric, window and label set (those with rows), failures by metric."""

    values: dict[Wanted, dict[Window, dict[Labels, Measured]]] = field(default_factory=dict)
    failures: dict[Wanted, str] = field(default_factory=dict)

    def at(self, wanted: Wanted, window: Window) -> dict[Labels, Measured]:
        """The label sets with rows in `window`."""
        return self.values.get(wanted, {}).get(window, {})


@dataclass(frozen=True)
class Presence:
    """Rows in a window: of the whole store, of the model; and whether some of the model's lack empty images.

    `pruned`: rows of the model in this window have been removed, so that nothing can be said of it.
    """

    stored: int = 0
    logged: int = 0
    unknown_denominator: bool = False
    pruned: bool = False

    @property
    def reason(self) -> str:
        """Why a label set has no rows here."""
        if self.pruned:
            return "rows_pruned"
        return "no_rows" if self.logged else "model_silent" if self.stored else "ingest_stalled"


def measure(con: Connection, selection: Selection, windows: Iterable[Window], wanted: Iterable[Wanted]) -> Measurement:
    """Measure all `wanted` metrics in all `windows`, one query for those that read the same rows.

    A window of which rows are gone (`prune`) has no values: those that are left would tell of reviewed images only.
    A metric whose SQL fails is in `failures`; the others are not touched by it. `con` must not be in a transaction
    that is still needed after a failure.
    """
    result = Measurement()
    each = sorted(set(windows))
    pruned = _pruned(con, selection.model_id, each)
    whole = [window for window in each if window not in pruned]
    for kind, batch in _batches(selection, wanted).items():
        here = each if kind in NOT_PRUNED else whole
        if not here:
            continue
        try:
            result.values.update(_MEASURES.get(kind, _measure_rows)(con, selection, here, batch))
        except _database_error() as error:
            if len(batch) == 1:
                result.failures[batch[0]] = str(error).splitlines()[0]
                continue
            for one in batch:
                alone = measure(con, selection, each, [one])
                result.values.update(alone.values)
                result.failures.update(alone.failures)
    return result


def presence(con: Connection, model_id: str, windows: Iterable[Window]) -> dict[Window, Presence]:
    """What each window holds at all; a window without rows is absent."""
    asked = list(windows)
    runs, rest = spans.split(asked)
    result = {}
    if rest:
        found = con.execute(statement("presence"), {**spans.joined(rest), "model": model_id}).fetchall()
        result = {(start, end): Presence(*counts) for start, end, *counts in found}
    for run in runs:
        found = con.execute(statement("presence_run"), {**run.values(), "model": model_id}).fetchall()
        result |= {run.windows[place]: Presence(*counts) for place, *counts in found}
    return result | {window: Presence(pruned=True) for window in _pruned(con, model_id, asked)}


def _pruned(con: Connection, model_id: str, windows: Iterable[Window]) -> set[Window]:
    """The windows of which rows of the model are gone."""
    before = pruned_before(con, model_id)
    return set() if before is None else {window for window in windows if window[0] < before}


def _database_error() -> type[Exception]:
    import duckdb

    return duckdb.Error


def _batches(selection: Selection, wanted: Iterable[Wanted]) -> dict[str, list[Wanted]]:
    batches: dict[str, list[Wanted]] = defaultdict(list)
    for one in dict.fromkeys(wanted):
        name = one.metric.name
        kind = _GROUPS.get(name, name)
        kind = kind if kind in _MEASURES else _rows_of(one.metric, selection)
        batches[kind].append(one)
    return batches


def _rows_of(metric: Metric, selection: Selection) -> str:
    if metric.every_status:
        return "every_status"
    return "detections" if metric.over == "detections" or selection.on_labels else "predictions"


def _query(
    con: Connection,
    selection: Selection,
    windows: Sequence[Window],
    aggregates: Sequence[str],
    *,
    boxes: bool = False,
    every_status: bool = False,
    denominator: bool = False,
    values: Mapping[str, Any] | None = None,
) -> list[tuple[Window, Labels, list[Any]]]:
    """Rows of (window, label set, aggregates)."""
    bound: dict[str, Any] = {"model": selection.model_id, **(values or {})}
    keys, chosen = _labels_sql(selection, bound)
    conditions = ["true" if every_status else "status IS DISTINCT FROM 'error'", *chosen]
    parts = {
        "keys": ", ".join(keys),
        "aggregates": ", ".join(aggregates),
        "unknown": _UNKNOWN if denominator else "false",
        "rows": "detections" if boxes else "predictions",
        "conditions": " AND ".join(conditions),
    }
    runs, rest = spans.split(windows)
    found = []
    if rest:
        text = statement("measure").format(**parts)
        found = [
            ((start, end), tuple(zip(selection.by, labels, strict=True)), aggregated)
            for start, end, labels, *aggregated in con.execute(text, {**spans.joined(rest), **bound}).fetchall()
        ]
    for run in runs:
        text = statement("measure_run").format(**parts)
        found += [
            (run.windows[place], tuple(zip(selection.by, labels, strict=True)), aggregated)
            for place, labels, *aggregated in con.execute(text, {**run.values(), **bound}).fetchall()
        ]
    return found


def _labels_sql(selection: Selection, bound: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The SQL of the keys that rows are split by, and of the conditions on labels; values go into `bound`."""
    keys = [key_sql(key, f"by_{number}", bound) for number, key in enumerate(selection.by)]
    conditions = []
    for number, (key, value) in enumerate(selection.where):
        conditions.append(f"{key_sql(key, f'where_{number}', bound)} = $value_{number}")
        bound[f"value_{number}"] = value
    return keys, conditions


def key_sql(key: str, parameter: str, bound: dict[str, Any]) -> str:
    """The SQL of a label key; the name of a tag goes into `bound`."""
    if key in ("source", "label"):
        return f"coalesce({key}, '')"
    bound[parameter] = key.removeprefix("tag:")
    return f"coalesce(tags[${parameter}], '')"


def _measure_rows(
    con: Connection, selection: Selection, windows: Sequence[Window], batch: Sequence[Wanted]
) -> dict[Wanted, dict[Window, dict[Labels, Measured]]]:
    """The metrics that are one aggregate over the rows."""
    kind = _rows_of(batch[0].metric, selection)
    if any(one.metric.configured for one in batch):
        con.execute("SET enable_external_access = false")  # a metric of the configuration reads the log, nothing else
    aggregates = ["bool_or(unknown_denominator)"]
    bound: dict[str, Any] = {}
    for number, one in enumerate(batch):
        sql, samples = one.metric.sql, one.metric.samples
        if kind == "detections" and one.metric.boxes:
            sql, samples = one.metric.boxes
        aggregates += [f"CAST(({sql}) AS DOUBLE)", f"CAST({samples} AS BIGINT)", _beyond_sql(one, number, bound)]
    found = _query(
        con,
        selection,
        windows,
        aggregates,
        boxes=kind == "detections",
        every_status=kind == "every_status",
        denominator=any(one.metric.denominator for one in batch),
        values=bound,
    )
    result: dict[Wanted, dict[Window, dict[Labels, Measured]]] = {one: defaultdict(dict) for one in batch}
    for window, labels, (unknown, *numbers) in found:
        for number, one in enumerate(batch):
            value, n, beyond = numbers[3 * number : 3 * number + 3]
            lacking = bool(unknown) and one.metric.denominator
            result[one][window][labels] = Measured(_finite(value), n or 0, lacking, beyond)
    return result


def _beyond_sql(one: Wanted, number: int, bound: dict[str, Any]) -> str:
    if one.beyond is None:
        return "NULL"
    operator, threshold = one.beyond
    bound[f"beyond_{number}"] = threshold * 1e3
    return f"count(*) FILTER ({_LATENCY} {'>' if operator == 'gt' else '>='} $beyond_{number})"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _measure_class_share(
    con: Connection, selection: Selection, windows: Sequence[Window], batch: Sequence[Wanted]
) -> dict[Wanted, dict[Window, dict[Labels, Measured]]]:
    """Boxes of a label among all boxes of the window and the other labels; n = all boxes."""
    by = selection.by if "label" in selection.by else (*selection.by, "label")
    only = dict(selection.where).get("label")
    others = tuple((key, value) for key, value in selection.where if key != "label")
    found = _query(con, replace(selection, by=by, where=others), windows, ["count(*)"], boxes=True)
    counts: dict[Window, dict[Labels, int]] = defaultdict(dict)
    totals: dict[tuple[Window, Labels], int] = defaultdict(int)
    for window, labels, (count,) in found:
        counts[window][labels] = count
        totals[window, _without_label(labels)] += count
    shares: dict[Window, dict[Labels, Measured]] = defaultdict(dict)
    for (window, rest), total in totals.items():
        if only is not None:
            wanted_label = _with_label(by, rest, only)
            shown = wanted_label if "label" in selection.by else rest
            shares[window][shown] = Measured(counts[window].get(wanted_label, 0) / total, total)
    if only is None:
        for window, sets in counts.items():
            for labels, count in sets.items():
                total = totals[window, _without_label(labels)]
                shares[window][labels] = Measured(count / total, total)
    return dict.fromkeys(batch, shares)


def _without_label(labels: Labels) -> Labels:
    return tuple(pair for pair in labels if pair[0] != "label")


def _with_label(by: Sequence[str], rest: Labels, label: str) -> Labels:
    known = {**dict(rest), "label": label}
    return tuple((key, known[key]) for key in by)


def _absent_share(shares: Mapping[Labels, Measured], labels: Labels) -> Measured | None:
    """The `class_share` of a label that has no box in a window whose other labels have some: 0 of all boxes."""
    alike = [measured for other, measured in shares.items() if _without_label(other) == _without_label(labels)]
    return Measured(0.0, alike[0].n) if alike and "label" in dict(labels) else None


def _measure_new_classes(
    con: Connection, selection: Selection, windows: Sequence[Window], batch: Sequence[Wanted]
) -> dict[Wanted, dict[Window, dict[Labels, Measured]]]:
    """Labels of the window that the model did not log in the 28 days before it; 0 when it logged nothing then."""
    found = _query(con, selection, windows, ["list(DISTINCT label)", "count(*)"], boxes=True)
    starts = sorted({start for start, _ in windows})
    known = dict(
        con.execute(
            statement("known_classes"),
            {"starts": starts, "first": starts[0], "last": starts[-1], "model": selection.model_id},
        ).fetchall()
    )
    counts: dict[Window, dict[Labels, Measured]] = defaultdict(dict)
    for window, labels, (seen, n) in found:
        before = known.get(window[0])
        counts[window][labels] = Measured(float(len(set(seen) - set(before))) if before else 0.0, n)
    return dict.fromkeys(batch, counts)


def _measure_age(
    con: Connection, selection: Selection, windows: Sequence[Window], batch: Sequence[Wanted]
) -> dict[Wanted, dict[Window, dict[Labels, Measured]]]:
    """Seconds from the newest image before the window's end to that end."""
    ends = sorted({end for _, end in windows})
    keys = {*selection.by, *(key for key, _ in selection.where)}
    first = EPOCH if keys - {"source"} else floor_slot(ends[0], timedelta(hours=1))  # the rollups know no other label
    so_far = {} if first == EPOCH else _newest_before(con, selection, first)
    found = _query(con, selection, list(pairwise([first, *ends])), ["max(ts)"], every_status=True)
    newest: dict[datetime, dict[Labels, datetime]] = defaultdict(dict)
    for (_, end), labels, (latest,) in found:
        newest[end][labels] = latest
    ages: dict[datetime, dict[Labels, Measured]] = {}
    for end in ends:
        so_far |= newest[end]
        ages[end] = {labels: Measured((end - latest).total_seconds(), 1) for labels, latest in so_far.items()}
    return {one: {window: ages[window[1]] for window in windows} for one in batch}


def _newest_before(con: Connection, selection: Selection, hour: datetime) -> dict[Labels, datetime]:
    """The newest image of each source, or of the model, before a whole hour."""
    bound: dict[str, Any] = {"model": selection.model_id, "first": hour}
    keys, conditions = _labels_sql(selection, bound)
    text = statement("newest_before").format(keys=", ".join(keys), conditions=" AND ".join(["true", *conditions]))
    found = con.execute(text, bound).fetchall()
    return {tuple(zip(selection.by, labels, strict=True)): newest for labels, newest in found}


def _measure_rejected(
    con: Connection, selection: Selection, windows: Sequence[Window], batch: Sequence[Wanted]
) -> dict[Wanted, dict[Window, dict[Labels, Measured]]]:
    """Records refused among those read by the batches loaded in the window, of the whole store."""
    values = {key: value for key, value in spans.joined(windows).items() if key in ("starts", "ends")}
    found = con.execute(statement("rejected_in_windows"), values).fetchall()
    rates: dict[Window, dict[Labels, Measured]] = {
        (start, end): {(): Measured(_finite(value), n or 0)} for start, end, value, n in found
    }
    return dict.fromkeys(batch, rates)


def _measure_reviews(
    con: Connection, selection: Selection, windows: Sequence[Window], batch: Sequence[Wanted]
) -> dict[Wanted, dict[Window, dict[Labels, Measured]]]:
    from detmon.metrics.reviews import measure_reviews  # loads numpy

    return measure_reviews(con, selection, windows, batch)


def _measure_distances(
    con: Connection, selection: Selection, windows: Sequence[Window], batch: Sequence[Wanted]
) -> dict[Wanted, dict[Window, dict[Labels, Measured]]]:
    from detmon.metrics.distances import measure_distances  # loads numpy

    return measure_distances(con, selection, windows, batch)


_MEASURES = {
    "class_share": _measure_class_share,
    "new_class_count": _measure_new_classes,
    "data_age_seconds": _measure_age,
    "rejected_rate": _measure_rejected,
    "reviews": _measure_reviews,
    "distances": _measure_distances,
}
"""The metrics that are more than one aggregate over the rows."""
_GROUPS = dict.fromkeys(REVIEWED, "reviews") | dict.fromkeys(DISTANCES, "distances")
"""Metrics that are measured together."""


# --- judging ---------------------------------------------------------------------------------------------------------


def absent(metric: Metric, labels: Labels, found: Mapping[Labels, Measured], there: Presence) -> Measured | None:
    """What a label set without rows has all the same: a count is 0, a share is 0 of the other labels' boxes."""
    if there.pruned:
        return None
    if metric.count:
        return Measured(0.0, 0, metric.denominator and there.unknown_denominator)
    return _absent_share(found, labels) if metric.name == "class_share" else None


def judged(
    metric: Metric, measured: Measured | None, there: Presence, least: int
) -> tuple[float | None, int, str | None]:
    """Value, n, and the reason why there is no value; n below `least` is such a reason."""
    if measured is None:
        unseen = metric.name == "data_age_seconds" and not there.pruned
        return None, 0, "model_silent" if unseen else there.reason
    if measured.unknown_denominator:
        return None, measured.n, "denominator_unknown"
    if measured.value is None:
        return None, measured.n, measured.reason or "no_value"
    if measured.n < least:
        return None, measured.n, "insufficient_samples"
    return measured.value, measured.n, None
