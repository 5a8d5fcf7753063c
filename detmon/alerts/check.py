"""One check: the due slots of every rule, evaluated from the stored rows, written in one transaction."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from detmon import __version__, failpoints, metrics
from detmon.alerts import flapping, instances, lateness, machine, outcomes, rules
from detmon.alerts.instances import Happened
from detmon.alerts.machine import Instance, Outcome
from detmon.alerts.records import AlertCheck, Failure
from detmon.alerts.rules import Rule
from detmon.errors import OperationError
from detmon.metrics import Labels, Measured, Measurement, Metric, Presence, Selection, Wanted, Window
from detmon.records import Delivery
from detmon.store import Connection, Store, statement, transaction
from detmon.times import floor_slot, format_instant

MOST_SLOTS = 2000
"""A rule's slots that one check makes up at most."""
MOST_RESTARTS = 5


@dataclass(frozen=True)
class Due:
    """The slots of a rule that a check has to evaluate; `skipped`: the first and last that nobody ever will."""

    rule: Rule
    slots: tuple[datetime, ...] = ()
    skipped: tuple[datetime, datetime] | None = None
    clock_went_back: bool = False

    @property
    def windows(self) -> list[Window]:
        """The window of each slot."""
        return [(slot - self.rule.definition.window, slot) for slot in self.slots]


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

    @property
    def rule(self) -> Rule:
        return self.due.rule


@dataclass(frozen=True)
class Scope:
    """Which rules a check is about: all, those of `names` (ids or names), those of `model`."""

    names: Sequence[str] = ()
    model: str | None = None

    def of(self, all_rules: Sequence[Rule]) -> list[Rule]:
        """The enabled rules in scope; raises UnknownName for a name that is none."""
        chosen = {rules.pick(all_rules, name, self.model).id for name in self.names}
        return [
            rule
            for rule in all_rules
            if rule.enabled
            and (not self.names or rule.id in chosen)
            and (self.model is None or self.model in (rule.model_id, rule.model_id.rpartition("@")[0]))
        ]

    def __str__(self) -> str:
        return ",".join([*self.names, *([f"model={self.model}"] if self.model else [])])


class _DryRun(Exception):
    """Ends the transaction of a check that only looks."""


def check(
    store: Store,
    catalogue: Mapping[str, Metric],
    default_targets: Sequence[str],
    now: datetime,
    scope: Scope,
    *,
    dry_run: bool = False,
) -> tuple[AlertCheck, bool]:
    """Evaluate every due slot of the rules in scope; write state, events, history and notices in one transaction.

    Also says whether the outbox is empty, so that nothing has to be delivered. With `dry_run` nothing is written.
    Another check in this process that was faster makes this one start again; OperationError if that happens too often.
    """
    import duckdb

    for _ in range(MOST_RESTARTS):
        with store.writing() as con:
            try:
                run = _Run(con, catalogue, default_targets, now, scope, dry_run)
                with suppress(_DryRun), transaction(con):
                    result = run.carry_out()
                    outbox_empty = con.execute(statement("outbox_empty")).fetchone() == (True,)
                    if dry_run:
                        raise _DryRun
                if not dry_run:
                    failpoints.reach("check.after_commit")
            except (duckdb.TransactionException, duckdb.ConstraintException):
                continue
        return result, outbox_empty
    raise OperationError(f"other checks got in the way {MOST_RESTARTS} times", "run `detmon alert check` again")


def due_slots(rule: Rule, now: datetime) -> Due:
    """The slots of `rule` that are due at `now`: the newest one of a new rule, else all since the last."""
    every, newest = rule.definition.every, rule.newest_slot(now)
    if rule.last_slot is None:
        return Due(rule, (newest,))
    if newest < rule.last_slot:
        return Due(rule, clock_went_back=True)
    first = _after(rule.last_slot, every)
    count = (newest - first) // every + 1
    if count <= 0:
        return Due(rule)
    kept = min(count, rule.definition.catch_up // every + 1, MOST_SLOTS)
    slots = tuple(newest - every * back for back in range(kept - 1, -1, -1))
    return Due(rule, slots, (first, slots[0] - every) if kept < count else None)


def _after(moment: datetime, every: timedelta) -> datetime:
    """The first multiple of `every` after `moment`."""
    return floor_slot(moment, every) + every


class _Run:
    """One check within its transaction."""

    def __init__(
        self,
        con: Connection,
        catalogue: Mapping[str, Metric],
        default_targets: Sequence[str],
        now: datetime,
        scope: Scope,
        dry_run: bool,
    ) -> None:
        self.con = con
        self.catalogue = catalogue
        self.default_targets = default_targets
        self.now = now
        self.scope = scope
        self.id = os.urandom(6).hex()

    def carry_out(self) -> AlertCheck:
        in_scope = self.scope.of(rules.every(self.con))
        failpoints.reach("check.in_tx")
        dues = [due_slots(rule, self.now) for rule in in_scope]
        stored = instances.load(self.con, in_scope)
        odd = [*_warnings(dues), *lateness.warnings(self.con, in_scope, self.now)]
        evaluated = self._evaluate([due for due in dues if due.slots], stored)
        self._write(evaluated)
        self._record_run(in_scope, evaluated)
        failpoints.reach("check.before_commit")
        return self._result(in_scope, stored, evaluated, odd)

    def _evaluate(self, dues: Sequence[Due], stored: Mapping[str, Mapping[Labels, Instance]]) -> list[Evaluated]:
        if not dues:
            return []
        reader = self.con.cursor()  # a query that fails must not end the check's transaction
        reader.execute("SET enable_progress_bar = false")
        try:
            facts = _Facts(reader, self.catalogue, dues)
            return [_evaluate_rule(due, facts, stored.get(due.rule.id, {})) for due in dues]
        finally:
            reader.close()

    def _write(self, evaluated: Sequence[Evaluated]) -> None:
        if not evaluated:
            return
        self._record_evaluations(evaluated)
        instances.save(self.con, [(e.rule, instance) for e in evaluated for instance in e.instances.values()])
        instances.drop(self.con, [instance for e in evaluated for instance in e.gone])
        happened = [h for e in evaluated for h in e.happened]
        instances.record_events(self.con, happened, self.id, self.now)
        newest = {"ids": [e.rule.id for e in evaluated], "slots": [e.due.slots[-1] for e in evaluated]}
        self.con.execute(statement("advance_alerts"), newest)
        failpoints.reach("check.before_outbox")
        news = any(h.is_shown for h in happened)
        if news or any(i.condition == "firing" or i.told for e in evaluated for i in e.instances.values()):
            self._tell(evaluated)

    def _tell(self, evaluated: Sequence[Evaluated]) -> None:
        from detmon.alerts import compose  # needed only where something may have to be told

        changes = [
            compose.Changed(e.rule, e.metric, e.due.slots[-1], list(e.instances.values()), e.happened)
            for e in evaluated
        ]
        compose.tell(self.con, changes, self.default_targets, run_id=self.id, now=self.now)

    def _record_evaluations(self, evaluated: Sequence[Evaluated]) -> None:
        rows: list[tuple[object, ...]] = []
        for e in evaluated:
            version, count = e.rule.version, len(e.instances)
            if e.due.skipped:
                first, last = e.due.skipped
                rows.append((e.rule.id, last, version, "skipped", first, None, None))
            for slot in e.due.slots:
                error = e.errors.get(slot)
                rows.append((e.rule.id, slot, version, "error" if error else "done", None, count, error))
        names = ("alert_id", "slot", "version", "status", "skipped_from", "instances", "error")
        columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
        self.con.execute(statement("add_alert_evaluations"), {**columns, "run_id": self.id})

    def _record_run(self, in_scope: Sequence[Rule], evaluated: Sequence[Evaluated]) -> None:
        self.con.execute(
            statement("add_alert_run"),
            {
                "run_id": self.id,
                "now": self.now,
                "host": os.uname().nodename,
                "pid": os.getpid(),
                "version": __version__,
                "scope": str(self.scope),
                "rules": len(in_scope),
                "slots": sum(len(e.due.slots) for e in evaluated),
                "failed": sum(bool(e.errors) for e in evaluated),
                "events": sum(h.is_shown for e in evaluated for h in e.happened),
            },
        )

    def _result(
        self,
        in_scope: Sequence[Rule],
        stored: Mapping[str, Mapping[Labels, Instance]],
        evaluated: Sequence[Evaluated],
        warnings: Sequence[str],
    ) -> AlertCheck:
        final = {rule.id: dict(stored.get(rule.id, {})) for rule in in_scope}
        final |= {e.rule.id: e.instances for e in evaluated}
        happened = sorted((h for e in evaluated for h in e.happened if h.is_shown), key=lambda h: h.event.slot)
        return AlertCheck(
            evaluated_at=self.now,
            rules=len(in_scope),
            slots=sum(len(e.due.slots) for e in evaluated),
            events=tuple(h.record(self.now) for h in happened),
            instances=tuple(
                instances.instance_record(rule, instance)
                for rule in in_scope
                for _, instance in sorted(final[rule.id].items())
            ),
            delivery=Delivery(),
            failed=tuple(Failure(e.rule.name, e.errors[max(e.errors)]) for e in evaluated if e.errors),
            skipped=tuple(
                {"alert": e.rule.name, "from": e.due.skipped[0], "to": e.due.skipped[1]}
                for e in evaluated
                if e.due.skipped
            ),
            warnings=tuple(warnings),
        )


def _warnings(dues: Sequence[Due]) -> Iterable[str]:
    ahead = [due.rule.last_slot for due in dues if due.clock_went_back and due.rule.last_slot]
    if ahead:
        yield (
            f"the clock went back: slots up to {format_instant(max(ahead))} are evaluated already; "
            f"{len(ahead)} rules wait for it"
        )
    for due in dues:
        if due.skipped:
            first, last = due.skipped
            span = f"{format_instant(first)} to {format_instant(last)}"
            yield f"{due.rule.name}: the slots {span} are older than catch_up and are skipped"


# --- evaluation ----------------------------------------------------------------------------------------------------


class _Facts:
    """All that the due rules need to know of the rows, read in one query a selection of rows."""

    def __init__(self, reader: Connection, catalogue: Mapping[str, Metric], dues: Sequence[Due]) -> None:
        self.reader = reader
        self.catalogue = catalogue
        self.measured: dict[Selection, Measurement] = {}
        self.presences: dict[str, dict[Window, Presence]] = {}
        self._windows: dict[str, set[Window]] = defaultdict(set)
        groups: dict[Selection, list[Due]] = defaultdict(list)
        for due in dues:
            self._windows[due.rule.model_id].update(due.windows)
            if due.rule.definition.metric in catalogue:
                groups[due.rule.selection].append(due)
        for selection, members in groups.items():
            windows = {window for due in members for window in due.windows}
            wanted = [self.wanted(due.rule) for due in members]
            self.measured[selection] = metrics.measure(reader, selection, windows, wanted)

    def wanted(self, rule: Rule) -> Wanted:
        """What is measured for a rule; for a quantile of few images also how many are beyond the threshold."""
        metric, definition = self.catalogue[rule.definition.metric], rule.definition
        counted = metric.quantile and definition.min_samples is None and definition.operator in ("gt", "ge")
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
        return self.measured[rule.selection].failures.get(self.wanted(rule))


def _evaluate_rule(due: Due, facts: _Facts, stored: Mapping[Labels, Instance]) -> Evaluated:
    rule = due.rule
    result = Evaluated(due, facts.catalogue.get(rule.definition.metric), stored, dict(stored))
    if due.skipped:
        for labels, instance in result.instances.items():
            after, events = machine.skip(instance, due.skipped[1])
            result.instances[labels] = after
            result.happened += [Happened(rule, after, event) for event in events]
    failure = facts.failure(rule)
    for window in due.windows:
        found = {} if failure else _found(rule, facts, window)
        _evaluate_slot(result, facts, window, found, failure or _too_many(result, found))
    return result


def _found(rule: Rule, facts: _Facts, window: Window) -> dict[Labels, Measured]:
    return facts.measured[rule.selection].at(facts.wanted(rule), window)


def _too_many(result: Evaluated, found: Mapping[Labels, Measured]) -> str | None:
    most, count = result.rule.definition.max_instances, len(found.keys() | result.instances.keys())
    if not result.rule.definition.by or count <= most:
        return None
    return f"{count} label sets, more than max_instances = {most}"


def _evaluate_slot(
    result: Evaluated, facts: _Facts, window: Window, found: dict[Labels, Measured], failure: str | None
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
    for labels in expected:
        _step(result, labels, slot, _outcome(result, facts, window, found, labels))
    if rule.definition.by:
        for labels, instance in list(result.instances.items()):
            if slot - (instance.last_data_slot or slot) >= rule.definition.forget_after:
                _forget(result, labels, slot, "series gone")


def _outcome(
    result: Evaluated, facts: _Facts, window: Window, found: dict[Labels, Measured], labels: Labels
) -> Outcome:
    rule, metric = result.rule, facts.catalogue[result.rule.definition.metric]
    there = partial(facts.presence, rule.model_id, window)
    return outcomes.outcome(rule, metric, labels, found, there, _instance(result, labels))


def _instance(result: Evaluated, labels: Labels) -> Instance:
    return result.instances.get(labels) or instances.new(result.rule, labels)


def _step(result: Evaluated, labels: Labels, slot: datetime, outcome: Outcome) -> None:
    before = _instance(result, labels)
    after, events = machine.step(before, result.rule.definition, slot, outcome)
    if after.last_data_slot is None:
        after = replace(after, last_data_slot=slot)  # the clock of forget_after starts now
    after, flaps = flapping.follow(after, result.rule.definition.flap, slot, events)
    result.instances[labels] = after
    result.happened += [Happened(result.rule, after, event) for event in (*events, *flaps)]


def _forget(result: Evaluated, labels: Labels, slot: datetime, reason: str) -> None:
    instance = result.instances.pop(labels)
    if labels in result.before:
        result.gone.append(instance)
    result.happened += [Happened(result.rule, instance, event) for event in flapping.close(instance, slot, reason)]
