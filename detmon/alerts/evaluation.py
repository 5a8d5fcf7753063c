"""What slots find, and what it does to the instances of a rule: one code for checks and for looking back; pure."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from detmon import failpoints, metrics
from detmon.alerts import flapping, instances, machine, outcomes
from detmon.alerts.instances import Happened
from detmon.alerts.machine import Instance, Outcome
from detmon.alerts.rules import Rule
from detmon.alerts.slots import Due
from detmon.metrics import Labels, Measured, Measurement, Metric, Presence, Selection, Wanted, Window
from detmon.store import Connection

if TYPE_CHECKING:  # most rules need neither
    from detmon.alerts import anomaly
    from detmon.alerts.relative import Normal

Watch: TypeAlias = Callable[[Labels, datetime, Outcome], None]
"""Is told what each slot found for each label set."""


@dataclass
class Evaluated:
    """A rule after its due slots."""

    due: Due
    metric: Metric | None
    before: Mapping[Labels, Instance]
    instances: dict[Labels, Instance] = field(default_factory=dict)
    happened: list[Happened] = field(default_factory=list)
    errors: dict[datetime, str] = field(default_factory=dict)
    gone: list[Instance] = field(default_factory=list)
    watch: Watch | None = None
    ms: float | None = None
    """What a slot took: its share of the run, for all rules are read together."""

    @property
    def rule(self) -> Rule:
        return self.due.rule

    @property
    def ended(self) -> list[Instance]:
        """The instances of which something ended in these slots, also those that are gone."""
        return [h.instance for h in self.happened if h.event.kind in ("resolved", "closed")]


class Facts:
    """All that the due rules need to know of the rows, read in one query a selection of rows."""

    def __init__(self, reader: Connection, catalogue: Mapping[str, Metric], dues: Sequence[Due]) -> None:
        self.reader = reader
        self.catalogue = catalogue
        self.measured: dict[tuple[Selection, bool], Measurement] = {}
        self.presences: dict[str, dict[Window, Presence]] = {}
        self._windows: dict[str, set[Window]] = defaultdict(set)
        self._zones: dict[str, tzinfo] = {}
        self._histories: dict[str, anomaly.History] = {}
        self._normals: dict[tuple[str, str], Normal | None] = {}
        groups: dict[tuple[Selection, bool], list[Due]] = defaultdict(list)
        for due in dues:
            self._windows[due.rule.model_id].update(due.windows)
            if due.rule.definition.metric in catalogue:
                groups[_group(due.rule)].append(due)
        for group, members in groups.items():
            windows = {window for due in members for window in self._needed(due)}
            wanted = [self.wanted(due.rule) for due in members]
            self.measured[group] = metrics.measure(reader, group[0], windows, wanted)

    def found(self, rule: Rule, window: Window) -> dict[Labels, Measured]:
        """The label sets with rows in a window."""
        return self.measured[_group(rule)].at(self.wanted(rule), window)

    def _needed(self, due: Due) -> Iterable[Window]:
        """The windows of a rule's slots, and of their history where it matters."""
        if not is_anomaly(due.rule):
            return due.windows
        return (day.window for window in due.windows for day in self._days(due.rule, window))

    def _days(self, rule: Rule, window: Window) -> Sequence[anomaly.Day]:
        from detmon.alerts import anomaly

        constants = anomaly.constants(self.catalogue[rule.definition.metric])
        return anomaly.days_before(window, self._zone(rule.model_id), constants)

    def _zone(self, model_id: str) -> tzinfo:
        from detmon.alerts import anomaly

        if model_id not in self._zones:
            self._zones[model_id] = anomaly.zone_of(self.reader, model_id)
        return self._zones[model_id]

    def history(self, rule: Rule) -> anomaly.History:
        """The past of a rule whose operator is `anomaly`."""
        from detmon.alerts import anomaly

        if rule.id not in self._histories:
            definition, metric = rule.definition, self.catalogue[rule.definition.metric]
            found = self.measured[_group(rule)].values.get(self.wanted(rule), {})
            self._histories[rule.id] = anomaly.History(definition, metric, self._zone(rule.model_id), found)
        return self._histories[rule.id]

    def normal(self, rule: Rule) -> Normal | None:
        """What the rule's metric was in the baseline of its model."""
        from detmon.alerts import relative

        key = rule.model_id, rule.definition.metric
        if key not in self._normals:
            self._normals[key] = relative.normal(self.reader, *key)
        return self._normals[key]

    def wanted(self, rule: Rule) -> Wanted:
        """What is measured for a rule; for a quantile of few images also how many are beyond the threshold."""
        metric, definition = self.catalogue[rule.definition.metric], rule.definition
        counted = metric.quantile and definition.min_samples is None and definition.operator in ("gt", "ge")
        counted = counted and definition.relative_to is None
        return Wanted(metric, (definition.operator, definition.threshold) if counted else None)

    def presence(self, model_id: str, window: Window) -> Presence:
        """What the window holds at all; read once a model, when some label set has no rows."""
        if model_id not in self.presences:
            self.presences[model_id] = metrics.presence(self.reader, model_id, self._windows[model_id])
        return self.presences[model_id].get(window, Presence())

    def failure(self, rule: Rule) -> str | None:
        """Why the rule cannot be evaluated."""
        if failpoints.argument("alert.evaluate") in (rule.id, rule.name):
            return "failpoint alert.evaluate"
        if rule.definition.metric not in self.catalogue:
            return f"unknown metric {rule.definition.metric!r}"
        return self.measured[_group(rule)].failures.get(self.wanted(rule))


def is_anomaly(rule: Rule) -> bool:
    """Whether a rule compares with the days before."""
    return rule.definition.operator == "anomaly"


def _group(rule: Rule) -> tuple[Selection, bool]:
    """What is read together: rules on the same rows, with or without their history."""
    return rule.selection, is_anomaly(rule)


def evaluate(
    con: Connection,
    catalogue: Mapping[str, Metric],
    dues: Sequence[Due],
    stored: Mapping[str, Mapping[Labels, Instance]],
) -> list[Evaluated]:
    """The rules after their due slots; `stored`: their instances by rule id and label set. Nothing is written."""
    if not dues:
        return []
    reader = con.cursor()  # a query that fails must not end the transaction of a check
    reader.execute("SET enable_progress_bar = false")
    try:
        begun = time.monotonic()
        facts = Facts(reader, catalogue, dues)
        found = [evaluate_rule(due, facts, stored.get(due.rule.id, {})) for due in dues]
        ms = (time.monotonic() - begun) * 1000 / sum(len(due.slots) for due in dues)
        return [replace(evaluated, ms=ms) for evaluated in found]
    finally:
        reader.close()


def evaluate_rule(
    due: Due,
    facts: Facts,
    stored: Mapping[Labels, Instance],
    watch: Watch | None = None,
) -> Evaluated:
    """One rule after its due slots, from the instances it had before."""
    rule = due.rule
    result = Evaluated(due, facts.catalogue.get(rule.definition.metric), stored, dict(stored), watch=watch)
    if due.skipped:
        for labels, instance in result.instances.items():
            after, events = machine.skip(instance, due.skipped[1])
            result.instances[labels] = after
            result.happened += [Happened(rule, after, event) for event in events]
    failure = facts.failure(rule)
    for window in due.windows:
        found = {} if failure else facts.found(rule, window)
        _evaluate_slot(result, facts, window, found, failure or _too_many(result, found))
    return result


def _too_many(result: Evaluated, found: Mapping[Labels, Measured]) -> str | None:
    most, count = result.rule.definition.max_instances, len((found.keys() | result.instances.keys()) - {()})
    if not result.rule.definition.by or count <= most:
        return None
    return f"{count} label sets, more than max_instances = {most}"


def _evaluate_slot(
    result: Evaluated, facts: Facts, window: Window, found: dict[Labels, Measured], failure: str | None
) -> None:
    rule, slot = result.rule, window[1]
    if failure:
        result.errors[slot] = failure
        for labels in list(result.instances) or [()]:
            _step(result, labels, slot, outcomes.failed(failure))
        return
    if rule.definition.by and () in result.instances:  # it stood for the rule while nothing was known of its label sets
        _step(result, (), slot, Outcome())
        _forget(result, (), slot, "evaluated again")
    expected = sorted(result.instances.keys() | found.keys()) if rule.definition.by else [()]
    found_out = {labels: _outcome(result, facts, window, found, labels) for labels in expected}
    if found_out and all(outcome.kind == "error" for outcome in found_out.values()):
        result.errors[slot] = next(iter(found_out.values())).reason or ""
    for labels, outcome in found_out.items():
        _step(result, labels, slot, outcome)
    if rule.definition.by:
        for labels, instance in list(result.instances.items()):
            if slot - (instance.last_data_slot or slot) >= rule.definition.forget_after:
                _forget(result, labels, slot, "series gone")


def _outcome(result: Evaluated, facts: Facts, window: Window, found: dict[Labels, Measured], labels: Labels) -> Outcome:
    rule, metric = result.rule, facts.catalogue[result.rule.definition.metric]
    there = partial(facts.presence, rule.model_id, window)
    outcome = outcomes.outcome(rule, metric, labels, found, there, _instance(result, labels))
    if is_anomaly(rule):
        return facts.history(rule).scored(outcome, labels, window)
    if rule.definition.relative_to:
        from detmon.alerts import relative

        return relative.compared(outcome, rule, metric, labels, facts.normal(rule))
    return outcome


def _instance(result: Evaluated, labels: Labels) -> Instance:
    return result.instances.get(labels) or instances.new(result.rule, labels)


def _step(result: Evaluated, labels: Labels, slot: datetime, outcome: Outcome) -> None:
    if result.watch:
        result.watch(labels, slot, outcome)
    before = _instance(result, labels)
    after, events = machine.step(before, result.rule.definition, slot, outcome)
    if after.last_data_slot is None:
        after = machine.changed(after, last_data_slot=slot)  # the clock of forget_after starts now
    after, flaps = flapping.follow(after, result.rule.definition.flap, slot, events)
    result.instances[labels] = after
    result.happened += [Happened(result.rule, after, event) for event in (*events, *flaps)]


def _forget(result: Evaluated, labels: Labels, slot: datetime, reason: str) -> None:
    instance = result.instances.pop(labels)
    if labels in result.before:
        result.gone.append(instance)
    result.happened += [Happened(result.rule, instance, event) for event in flapping.close(instance, slot, reason)]
