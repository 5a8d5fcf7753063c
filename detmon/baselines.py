"""The normal of a model: a period, with the values that its metrics had when it was set."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from detmon.errors import UsageError
from detmon.records import Record, plain
from detmon.store import Connection, statement
from detmon.times import Period

if TYPE_CHECKING:  # who only asks for the period does not need the metrics
    from detmon.metrics import Metric

NOT_FROZEN = (
    "data_age_seconds", "rejected_rate", "new_class_count", "class_drift", "confidence_drift", "count_drift",
)  # fmt: skip
"""What has no normal of its own: it depends on the clock, the whole store, the days before, or the baseline."""


@dataclass(frozen=True)
class BaselineValue(Record):
    """A metric of one label set over the period; `value` is None where `reason` says why."""

    labels: Mapping[str, str]
    value: float | None
    n: int
    reason: str | None


@dataclass(frozen=True)
class Baseline(Record):
    """What a model is compared with: [start, end), and each metric's values, over all, by source and by label."""

    model_id: str
    period: str
    start: datetime
    end: datetime
    metrics: Mapping[str, tuple[BaselineValue, ...]]
    created_at: datetime

    @property
    def span(self) -> Period:
        """The period as the features take it."""
        return Period(self.start.replace(tzinfo=None), self.end.replace(tzinfo=None), self.period)


def listed(con: Connection, model_id: str | None = None) -> list[Baseline]:
    """The baselines, by model; of one model, or of all."""
    found = con.execute(statement("baselines"), {"model": model_id}).fetchall()
    return [
        Baseline(model, period, start, end, _values(json.loads(frozen)), created_at)
        for model, period, start, end, frozen, created_at in found
    ]


def of(con: Connection, model_id: str) -> Baseline | None:
    """The baseline of a model, if it has one."""
    return next(iter(listed(con, model_id)), None)


def freeze(con: Connection, model_id: str, period: Period, catalogue: Iterable[Metric], now: datetime) -> Baseline:
    """What the metrics are over `period`; nothing is written. Raises UsageError where nothing was logged in it."""
    from detmon.metrics import Presence, Selection, Wanted, judged, measure, presence

    window = (period.start, period.end)
    there = presence(con, model_id, [window]).get(window, Presence())
    if not there.logged:
        raise UsageError(f"{model_id} logged nothing in {period}", "`detmon status` shows the days of each model")
    kept = [metric for metric in catalogue if metric.name not in NOT_FROZEN]
    values: dict[str, list[BaselineValue]] = {metric.name: [] for metric in kept}
    for by in ((), ("source",), ("label",)):
        fitting = [metric for metric in kept if metric.by_label or "label" not in by]
        fitting = [metric for metric in fitting if metric.name != "class_share" or "label" in by]
        measured = measure(con, Selection(model_id, by), [window], [Wanted(metric) for metric in fitting])
        for metric in fitting:
            for labels, one in sorted(measured.at(Wanted(metric), window).items()):
                value, n, reason = judged(metric, one, there, metric.min_samples)
                values[metric.name].append(BaselineValue(dict(labels), value, n, reason))
    return Baseline(model_id, period.text, period.start, period.end, _values(plain(values)), now)


def keep(con: Connection, baseline: Baseline) -> None:
    """Store it, in the place of the model's earlier one; in a transaction."""
    values = {
        "model": baseline.model_id,
        "start": baseline.span.start,
        "end": baseline.span.end,
        "period": baseline.period,
        "metrics": json.dumps(plain(baseline.metrics), allow_nan=False),
        "now": baseline.created_at.replace(tzinfo=None),
    }
    con.execute(statement("set_baseline"), values)


def remove(con: Connection, model_id: str) -> None:
    """Take a model's baseline away."""
    con.execute(statement("remove_baseline"), {"id": model_id})


def _values(found: Mapping[str, list[dict[str, object]]]) -> dict[str, tuple[BaselineValue, ...]]:
    return {name: tuple(BaselineValue(**value) for value in values) for name, values in found.items()}  # type: ignore[arg-type]
