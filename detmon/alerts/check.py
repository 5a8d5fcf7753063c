"""One check: the due slots of every rule, evaluated from the stored rows, written in one transaction."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from detmon import __version__, failpoints
from detmon.alerts import holds, instances, lateness, rules
from detmon.alerts.evaluation import Evaluated, evaluate
from detmon.alerts.holds import Holding, Member
from detmon.alerts.machine import Instance
from detmon.alerts.policy import Policy
from detmon.alerts.records import AlertCheck, Failure
from detmon.alerts.regex import Re2
from detmon.alerts.rules import Rule
from detmon.alerts.slots import Due, due_slots
from detmon.errors import OperationError
from detmon.metrics import Labels, Metric
from detmon.records import Delivery
from detmon.store import Connection, Store, statement, transaction
from detmon.times import format_instant

MOST_RESTARTS = 5


@dataclass(frozen=True)
class Scope:
    """Which rules a check is about: all, those of `names` (ids or names), those of `model`."""

    names: Sequence[str] = ()
    model: str | None = None

    def paused(self, all_rules: Sequence[Rule]) -> list[Rule]:
        """The rules that are named and disabled."""
        return [rule for rule in (rules.pick(all_rules, name, self.model) for name in self.names) if not rule.enabled]

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
    policy: Policy,
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
                run = _Run(con, catalogue, policy, now, scope)
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


class _Run:
    """One check within its transaction."""

    def __init__(
        self,
        con: Connection,
        catalogue: Mapping[str, Metric],
        policy: Policy,
        now: datetime,
        scope: Scope,
    ) -> None:
        self.con = con
        self.catalogue = catalogue
        self.policy = policy
        self.now = now
        self.scope = scope
        self.id = os.urandom(6).hex()

    def carry_out(self) -> AlertCheck:
        self.policy.check(Re2(self.con))
        known = rules.every(self.con)
        in_scope = self.scope.of(known)
        failpoints.reach("check.in_tx")
        dues = [due_slots(rule, self.now) for rule in in_scope]
        stored = instances.load(self.con, in_scope)
        odd = [f"{rule.name} is paused: `detmon alert enable` goes on with it" for rule in self.scope.paused(known)]
        odd += [*_warnings(dues), *lateness.warnings(self.con, in_scope, self.now)]
        evaluated = evaluate(self.con, self.catalogue, [due for due in dues if due.slots], stored)
        idle, holding = self._hold(in_scope, stored, evaluated)
        self._write(evaluated)
        self._tell(evaluated, idle, holding)
        self._record_run(in_scope, evaluated)
        failpoints.reach("check.before_commit")
        return self._result(in_scope, stored, evaluated, holding, odd)

    def _write(self, evaluated: Sequence[Evaluated]) -> None:
        if not evaluated:
            return
        self._record_evaluations(evaluated)
        instances.save(self.con, [(e.rule, instance) for e in evaluated for instance in e.instances.values()])
        back = {instance.key for e in evaluated for instance in e.instances.values()}
        instances.drop(self.con, [gone for e in evaluated for gone in e.gone if gone.key not in back])
        happened = [h for e in evaluated for h in e.happened]
        instances.record_events(self.con, happened, self.id, self.now)
        newest = {"ids": [e.rule.id for e in evaluated], "slots": [e.due.slots[-1] for e in evaluated]}
        self.con.execute(statement("advance_alerts"), newest)
        if any(e.ended for e in evaluated):
            self.con.execute(statement("end_acks"), {"now": self.now})

    def _hold(
        self,
        in_scope: Sequence[Rule],
        stored: dict[str, dict[Labels, Instance]],
        evaluated: Sequence[Evaluated],
    ) -> tuple[list[Member], Holding]:
        """Look up what holds notices back and note it on the instances, `stored` ones included.

        Also returns the instances of which there is something to tell though none of their slots was due.
        """
        busy = [(e.rule, i) for e in evaluated for i in e.instances.values() if holds.is_open(i)]
        over = [(e.rule, i) for e in evaluated for i in e.ended]
        due = {e.rule.id for e in evaluated}
        idle = [(r, i) for r in in_scope if r.id not in due for i in stored.get(r.id, {}).values() if holds.is_open(i)]

        def everyone() -> Iterator[Member]:
            yield from busy
            yield from idle
            known = {rule.id for rule in in_scope}
            others = [rule for rule in rules.every(self.con) if rule.enabled and rule.id not in known]
            yield from instances.of_all(self.con, others)

        holding = holds.look(self.con, self.policy, self.now, [*over, *busy, *idle], everyone)
        for e in evaluated:
            e.instances = {labels: holding.marked(instance) for labels, instance in e.instances.items()}
        changed = [(rule, after) for rule, i in idle if (after := holding.marked(i)) is not i]
        for rule, instance in changed:
            stored[rule.id][instance.labels] = instance
        holds.mark(self.con, [instance for _, instance in changed])
        return [(rule, instance) for rule, instance in changed if instance.key in holding.released], holding

    def _tell(self, evaluated: Sequence[Evaluated], idle: Sequence[Member], holding: Holding) -> None:
        failpoints.reach("check.before_outbox")
        happened = any(h.is_shown for e in evaluated for h in e.happened)
        if not (idle or happened or any(holds.is_open(i) for e in evaluated for i in e.instances.values())):
            return
        from detmon.alerts import compose  # needed only where something may have to be told

        changes = [
            compose.Changed(e.rule, e.metric, e.due.slots[-1], list(e.instances.values()), e.happened)
            for e in evaluated
        ]
        changes += [
            compose.Changed(rule, self.catalogue.get(rule.definition.metric), rule.last_slot, [instance], [])
            for rule, instance in idle
            if rule.last_slot
        ]
        compose.tell(self.con, changes, self.policy, holding, run_id=self.id, now=self.now)

    def _record_evaluations(self, evaluated: Sequence[Evaluated]) -> None:
        rows: list[tuple[object, ...]] = []
        for e in evaluated:
            version, count = e.rule.version, len(e.instances)
            if e.due.skipped:
                first, last = e.due.skipped
                rows.append((e.rule.id, last, version, "skipped", first, None, None, None))
            for slot in e.due.slots:
                error = e.errors.get(slot)
                rows.append((e.rule.id, slot, version, "error" if error else "done", None, count, error, e.ms))
        names = ("alert_id", "slot", "version", "status", "skipped_from", "instances", "error", "ms")
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
        holding: Holding,
        warnings: Sequence[str],
    ) -> AlertCheck:
        final = {rule.id: dict(stored.get(rule.id, {})) for rule in in_scope}
        final |= {e.rule.id: e.instances for e in evaluated}
        happened = sorted((h for e in evaluated for h in e.happened if h.is_shown), key=lambda h: h.event.slot)
        return AlertCheck(
            evaluated_at=self.now,
            rules=len(in_scope),
            slots=sum(len(e.due.slots) for e in evaluated),
            events=tuple(h.record(self.now, holding.held.get(h.instance.key)) for h in happened),
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
            f"{len(ahead)} {'rule waits' if len(ahead) == 1 else 'rules wait'} for it"
        )
    for due in dues:
        if due.skipped:
            first, last = due.skipped
            span = f"{format_instant(first)} to {format_instant(last)}"
            yield f"{due.rule.name}: the slots {span} are older than catch_up and are skipped"
