"""`relative_to baseline`: a value as its change from what the metric was in the model's baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from detmon import baselines
from detmon.alerts.machine import Outcome
from detmon.alerts.rules import Rule
from detmon.metrics import Labels, Metric
from detmon.store import Connection


@dataclass(frozen=True)
class Normal:
    """What one metric was in the baseline, by label set; `length` of the baseline. None where it has no value."""

    values: Mapping[Labels, float | None] = field(default_factory=dict)
    length: timedelta = timedelta()

    def of(self, labels: Labels, metric: Metric, window: timedelta) -> float | None:
        """The normal of a label set, else of the model; of a count: of its own label set, for as long as the window."""
        own = self.values.get(tuple(sorted(labels)))
        if metric.count:
            return None if own is None else own * (window / self.length)
        if own is not None:
            return own
        whole = (pair for pair in labels if pair[0] == "label" and metric.name == "class_share")
        return self.values.get(tuple(whole))


def normal(con: Connection, model_id: str, metric: str) -> Normal | None:
    """What a metric was in the model's baseline; None where the model has no baseline."""
    baseline = baselines.of(con, model_id)
    if baseline is None:
        return None
    values = {tuple(sorted(one.labels.items())): one.value for one in baseline.metrics.get(metric, ())}
    return Normal(values, baseline.span.end - baseline.span.start)


def compared(outcome: Outcome, rule: Rule, metric: Metric, labels: Labels, usual: Normal | None) -> Outcome:
    """The outcome with the change from the baseline, v / b - 1; an error where there is nothing to compare with."""
    if outcome.value is None:
        return outcome
    wanted = tuple(sorted({**dict(rule.definition.where), **dict(labels)}.items()))
    value = usual.of(wanted, metric, rule.definition.window) if usual else None
    if not value:
        return replace(outcome, kind="error", reason=_lacking(rule, wanted, usual, value), hint=None)
    change = outcome.value / value - 1
    return replace(outcome, compared=change, detail={"baseline": value, "change": change})


def _lacking(rule: Rule, labels: Labels, usual: Normal | None, value: float | None) -> str:
    model, metric = rule.model_id, rule.definition.metric
    cure = f"detmon baseline set --model {model} --period 'last 7d'"
    if usual is None:
        return f"{model} has no baseline: {cure}"
    who = " ".join([metric, *(f"{key}={value}" for key, value in labels)])
    if value == 0:
        return f"{who} is 0 in the baseline, so nothing can be relative to it: another period: {cure}"
    return f"{who} has no value in the baseline: {cure}"
