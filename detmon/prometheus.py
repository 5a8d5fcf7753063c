"""What Prometheus is told: the metrics of each model, the state of its alerts, and that the check runs.

The text format of the node exporter's textfile collector: HELP and TYPE before each family, labels escaped, no
timestamps (the collector drops a file that has one), a newline at the end.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from detmon import models
from detmon.errors import OperationError
from detmon.metrics import Labels, Metric, Presence, Selection, Wanted, Window, absent, judged, measure, presence
from detmon.records import Record
from detmon.store import Connection, statement

MEAN_LATENCY = "avg_latency_ms"
STATES = ("ok", "pending", "firing", "no_data", "error")
STATUSES = ("queued", "sending", "dead")
"""Notices that are still to be dealt with."""

Sample: TypeAlias = tuple[Mapping[str, str], float]
Value: TypeAlias = tuple[Metric, Labels, float]


@dataclass(frozen=True)
class Exported(Record):
    """The `samples` that were written, and where (None: nowhere yet); `text` is what a scrape would get."""

    out: str | None
    samples: int
    text: str


@dataclass(frozen=True)
class Family:
    """One metric of Prometheus."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]

    def lines(self) -> Iterator[str]:
        """Its text, nothing where there is no sample."""
        if self.samples:
            yield f"# HELP {self.name} {_escaped(self.help, quotes=False)}"
            yield f"# TYPE {self.name} {self.kind}"
            for labels, value in self.samples:
                said = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
                yield f"{self.name}{{{said}}} {value:.15g}" if said else f"{self.name} {value:.15g}"


def export(con: Connection, catalogue: Mapping[str, Metric], window: Window) -> tuple[Exported, list[str]]:
    """All that is told of `window`, and of the metrics that could not be computed why.

    A metric without a value (too few images, nobody reviewed) has no sample.
    """
    families, problems = _families(con, catalogue, window)
    text = "".join(f"{line}\n" for family in families for line in family.lines())
    return Exported(None, sum(len(family.samples) for family in families), text), problems


def write(text: str, out: Path) -> None:
    """Put `text` in the place of `out` at once, readable for all: a scrape sees the old file or the new one."""
    beside = out.with_name(f".{out.name}.{os.getpid()}")  # not *.prom: the collector must not take it
    try:
        beside.write_text(text, "utf-8")
        beside.chmod(0o644)
        beside.replace(out)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OperationError(f"cannot write {out}: {error.strerror}") from None


def _families(con: Connection, catalogue: Mapping[str, Metric], window: Window) -> tuple[list[Family], list[str]]:
    values: dict[str, list[Value]] = {}
    problems: list[str] = []
    for model in models.every(con):
        values[model.id], failed = _measured(con, model.id, catalogue, window)
        problems += failed
    return [*_of_metrics(values), *_of_alerts(con), *_of_store(con)], problems


def _measured(
    con: Connection, model_id: str, catalogue: Mapping[str, Metric], window: Window
) -> tuple[list[Value], list[str]]:
    """The metrics of a model that have a value; the share of classes has one a label."""
    there = presence(con, model_id, [window]).get(window, Presence())
    shares = [metric for metric in catalogue.values() if metric.name == "class_share"]
    others = [metric for metric in catalogue.values() if metric.name not in ("class_share", "rejected_rate")]
    found: list[Value] = []
    problems = []
    for by, metrics in (((), others), (("label",), shares)):
        measured = measure(con, Selection(model_id, by), [window], [Wanted(metric) for metric in metrics])
        problems += [f"{one.metric.name}: {cause}" for one, cause in measured.failures.items()]
        for metric in metrics:
            sets = measured.at(Wanted(metric), window)
            for labels in sorted(sets) if by else [()]:
                one = sets.get(labels) or absent(metric, labels, sets, there)
                value, _, _ = judged(metric, one, there, metric.min_samples)
                if value is not None:
                    found.append((metric, labels, value))
    return found, problems


def _of_metrics(values: Mapping[str, list[Value]]) -> Iterator[Family]:
    every = [(model, *value) for model, found in values.items() for value in found]
    yield Family(
        "detmon_metric_value",
        "gauge",
        "A metric of a model over the window of the export; one without a value has no sample.",
        tuple(
            ({"model": model, "metric": metric.name, **dict(labels)}, value)
            for model, metric, labels, value in every
            if metric.quantile is None and metric.name != MEAN_LATENCY
        ),
    )
    yield Family(
        "detmon_latency_seconds",
        "summary",
        "Latency of an inference: quantiles of the images in the window of the export.",
        tuple(
            ({"model": model, "quantile": f"{metric.quantile:g}"}, value / 1e3)
            for model, metric, _, value in every
            if metric.quantile is not None
        ),
    )
    yield Family(
        "detmon_latency_mean_seconds",
        "gauge",
        "Mean latency of an inference over the window of the export.",
        tuple(({"model": model}, value / 1e3) for model, metric, _, value in every if metric.name == MEAN_LATENCY),
    )


def _of_alerts(con: Connection) -> Iterator[Family]:
    counts: dict[tuple[str, str, str], dict[str, int]] = {}
    for name, model, definition, state, n in con.execute(statement("export_alerts")).fetchall():
        rule = (name, model, json.loads(definition)["severity"])
        counts.setdefault(rule, {})[state] = n
    yield Family(
        "detmon_alert_state",
        "gauge",
        "Whether an alert fires: 1, or 0.",
        tuple(
            ({"alert": name, "model": model, "severity": severity}, int("firing" in states))
            for (name, model, severity), states in counts.items()
        ),
    )
    yield Family(
        "detmon_alert_instances",
        "gauge",
        "Instances of an alert (label sets) by state.",
        tuple(
            ({"alert": name, "model": model, "state": state}, states.get(state, 0))
            for (name, model, _), states in counts.items()
            for state in STATES
        ),
    )


def _of_store(con: Connection) -> Iterator[Family]:
    rejected, checked_at = _one(con, "status_store")
    notices = dict(con.execute(statement("status_outbox")).fetchall())
    logged = con.execute(statement("status_models")).fetchall()
    yield Family(
        "detmon_check_timestamp_seconds",
        "gauge",
        "When `detmon alert check` last ran.",
        () if checked_at is None else (({}, _epoch(checked_at)),),
    )
    yield Family(
        "detmon_last_prediction_timestamp_seconds",
        "gauge",
        "The time of a model's newest prediction.",
        tuple(({"model": model}, _epoch(last)) for model, *_, last in logged if last is not None),
    )
    yield Family(
        "detmon_predictions_total",
        "counter",
        "Predictions taken.",
        tuple(({"model": model}, n) for model, n, *_ in logged),
    )
    yield Family(
        "detmon_detections_total", "counter", "Boxes taken.", tuple(({"model": model}, n) for model, _, n, *_ in logged)
    )
    yield Family("detmon_rejected_records_total", "counter", "Records put into quarantine.", (({}, rejected),))
    yield Family(
        "detmon_notices",
        "gauge",
        "Notices that are not delivered, by status.",
        tuple(({"status": status}, notices.get(status, 0)) for status in STATUSES),
    )
    yield Family(
        "detmon_notices_sent_total", "counter", "Notices delivered, as far as kept.", (({}, notices.get("sent", 0)),)
    )


def _one(con: Connection, name: str) -> tuple[int, datetime | None]:
    row = con.execute(statement(name)).fetchone()
    assert row is not None
    return row[0], row[1]


def _epoch(moment: datetime) -> float:
    return moment.replace(tzinfo=UTC).timestamp()


def _escaped(text: str, *, quotes: bool = True) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text
