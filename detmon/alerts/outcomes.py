"""What a slot found for a label set: a value, missing data with its reason, or an error."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from detmon import metrics
from detmon.alerts.machine import Instance, Outcome, is_breach
from detmon.alerts.rules import Rule
from detmon.metrics import Labels, Measured, Metric, Presence

DECISIVE = 0.01
"""The chance of so many slow images that is small enough to believe a quantile of few images."""
FEWEST = 20
"""Below so many images no quantile is judged."""
LONGEST_REASON = 256
_NOTHING = Presence()


def failed(cause: str) -> Outcome:
    """An evaluation that failed: the first line of the cause."""
    line = cause.splitlines()[0] if cause else "unknown cause"
    return Outcome(kind="error", reason="".join(c for c in line if c.isprintable())[:LONGEST_REASON], rows=False)


def outcome(
    rule: Rule,
    metric: Metric,
    labels: Labels,
    found: Mapping[Labels, Measured],
    there: Callable[[], Presence],
    instance: Instance,
) -> Outcome:
    """The outcome of one label set; `found` are the label sets with rows, `there` what the window holds at all."""
    measured, rows = found.get(labels), labels in found
    if measured is None:
        measured = metrics.absent(metric, labels, found, there())
    _, n, reason = metrics.judged(metric, measured, _NOTHING if measured else there(), 0)
    if measured is None or reason:
        return Outcome(None, n if rows else None, "no_data", reason, rows=rows)
    if rows and (hint := _too_few(rule, metric, measured, instance)):
        return Outcome(measured.value, n, "no_data", "insufficient_samples", hint=hint)
    return Outcome(measured.value, n, rows=rows)


def _too_few(rule: Rule, metric: Metric, measured: Measured, instance: Instance) -> str | None:
    """Why n is too small to judge, or None."""
    n, least = measured.n, _least(rule, metric)
    if least is not None:
        return f"n {n} < {least}" if n < least else None
    if n >= metric.min_samples:
        return None
    if metric.quantile is None:
        return f"n {n} < {metric.min_samples}: use a longer --window or --min-samples"
    above = rule.definition.operator in ("gt", "ge") and rule.definition.relative_to is None
    if n >= FEWEST and above and measured.value is not None:
        breach = is_breach(rule.definition, measured.value, firing=instance.condition == "firing")
        if not breach or chance_of_more(n, 1 - metric.quantile, measured.beyond or 0) <= DECISIVE:
            return None
    return f"n {n} < {metric.min_samples}: use {_coarser(n)} or --min-samples"


def _least(rule: Rule, metric: Metric) -> int | None:
    """The n that is needed, None: the metric's own. An anomaly of a count is one however few there are."""
    if rule.definition.min_samples is None and rule.definition.operator == "anomaly" and metric.min_samples:
        from detmon.alerts import anomaly

        return anomaly.constants(metric).min_samples
    return rule.definition.min_samples


def _coarser(n: int) -> str:
    """The finest quantile that n images are enough for."""
    return "p95_latency_ms" if n >= 200 else "p90_latency_ms" if n >= 100 else "p50_latency_ms"


def chance_of_more(n: int, share: float, k: int) -> float:
    """P(X ≥ k) for X ~ Binomial(n, share)."""
    whole = math.lgamma(n + 1)
    return math.fsum(
        math.exp(
            whole - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * math.log(share) + (n - i) * math.log1p(-share)
        )
        for i in range(k, n + 1)
    )
