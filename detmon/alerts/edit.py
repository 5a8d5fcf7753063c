"""Making, changing, pausing and removing rules; what was open is closed, and told so, in the same transaction."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from detmon.alerts import compose, flapping, holds, instances, rules, silences
from detmon.alerts.instances import Happened
from detmon.alerts.machine import Instance
from detmon.alerts.policy import Policy
from detmon.alerts.rules import BEHAVIOUR, Definition, Rule
from detmon.alerts.silences import Ack
from detmon.errors import UnknownName, UsageError
from detmon.metrics import Metric
from detmon.store import Connection, statement


@dataclass(frozen=True)
class Editor:
    """What every edit needs: the open store, the metrics, the policy of telling, and the time."""

    con: Connection
    catalogue: Mapping[str, Metric]
    policy: Policy
    now: datetime

    def create(self, model_id: str, name: str, definition: Definition, *, replace_it: bool = False) -> Rule:
        """Add a rule, or return the equal one that is there; with `replace_it` change the one of this name."""
        if not name.strip():
            raise UsageError("an alert needs a name that is not empty")
        present = [rule for rule in rules.every(self.con) if (rule.model_id, rule.name) == (model_id, name)]
        if present and rules.definition_json(present[0].definition) == rules.definition_json(definition):
            return present[0]
        if present:
            if not replace_it:
                changed = ", ".join(_differing(present[0].definition, definition))
                raise UsageError(f"{model_id} has another alert {name!r} (differs in {changed})", "--replace edits it")
            return self._redefine(present[0], definition)
        values = {
            "id": f"al_{os.urandom(6).hex()}",
            "live_key": f"{model_id}\x1f{name}",
            "name": name,
            "model_id": model_id,
            "definition": rules.definition_json(definition),
            "now": self.now,
        }
        self.con.execute(statement("add_alert"), values)
        return rules.pick(rules.every(self.con), str(values["id"]))

    def pick(self, id_or_name: str, model_id: str | None) -> Rule:
        """The stored rule of this id or name."""
        return rules.pick(rules.every(self.con), id_or_name, model_id)

    def enable(self, rule: Rule) -> Rule:
        """Go on with a paused rule, from the newest slot on."""
        return rule if rule.enabled else self._write(self._from_now(replace(rule, enabled=True)))

    def disable(self, rule: Rule) -> Rule:
        """Pause a rule."""
        if not rule.enabled:
            return rule
        self._close(rule, "rule paused")
        return self._write(replace(rule, enabled=False))

    def delete(self, rule: Rule) -> Rule:
        """Remove a rule; its history stays."""
        self._close(rule, "rule removed")
        self.con.execute(statement("remove_alert"), {"id": rule.id, "now": self.now})
        return rule

    def forget(self, rule: Rule, labels: Mapping[str, str]) -> list[Instance]:
        """End the instances that have these labels, as if they were gone for `forget_after`."""
        if not labels:
            raise UsageError("say which instances to forget", "for example source=cam-3")
        found = self._named(rule, labels)
        self._end(rule, found, "series gone")
        return found

    def acknowledge(self, rule: Rule, labels: Mapping[str, str], *, author: str, comment: str | None) -> list[Ack]:
        """Note that somebody knows of the open episodes of a rule, or of those that have these labels."""
        firing = [instance for instance in self._named(rule, labels) if instance.condition == "firing"]
        if not firing:
            raise UsageError(f"nothing of {rule.name!r} fires", "`detmon alert list` shows what does")
        acks = silences.acknowledge(self.con, rule, firing, author=author, comment=comment, now=self.now)
        known = holds.Holding({i.key: holds.by_ack(a.author) for i, a in zip(firing, acks, strict=True)})
        holds.mark(self.con, [known.marked(instance) for instance in firing if instance.held_by is None])
        return acks

    def _named(self, rule: Rule, labels: Mapping[str, str]) -> list[Instance]:
        """The instances of a rule that have these labels. Raises UnknownName for labels that none has."""
        states = [instance for _, instance in instances.of_all(self.con, [rule])]
        for name, value in labels.items():
            if name not in rule.definition.by:
                raise UnknownName(f"label of {rule.name!r}", name, rule.definition.by)
            values = {dict(instance.labels).get(name) for instance in states} - {None}
            if value not in values:
                raise UnknownName(name, value, sorted(str(one) for one in values))
        found = [instance for instance in states if labels.items() <= dict(instance.labels).items()]
        if labels and not found:
            raise UsageError(f"no instance of {rule.name!r} has all of these labels", "`detmon alert list` shows them")
        return found

    def _redefine(self, rule: Rule, definition: Definition) -> Rule:
        changed = replace(rule, definition=definition)
        if set(_differing(rule.definition, definition)) & {name.rstrip("_") for name in BEHAVIOUR}:
            self._close(rule, "rule changed")
            changed = self._from_now(replace(changed, version=rule.version + 1))
        return self._write(changed)

    def _from_now(self, rule: Rule) -> Rule:
        """The rule with nothing to make up: its next slot is the newest, or the one after."""
        if rule.last_slot is None:
            return rule
        return replace(rule, last_slot=max(rule.last_slot, rule.newest_slot(self.now) - rule.definition.every))

    def _write(self, rule: Rule) -> Rule:
        values = {
            "id": rule.id,
            "version": rule.version,
            "enabled": rule.enabled,
            "definition": rules.definition_json(rule.definition),
            "last_slot": rule.last_slot,
            "now": self.now,
        }
        self.con.execute(statement("change_alert"), values)
        return replace(rule, updated_at=self.now)

    def _close(self, rule: Rule, reason: str) -> None:
        """End all that is open of a rule, and tell those who know."""
        self._end(rule, [instance for _, instance in instances.of_all(self.con, [rule])], reason)

    def _end(self, rule: Rule, states: Sequence[Instance], reason: str) -> None:
        slot = rule.last_slot or rule.newest_slot(self.now)
        happened = [Happened(rule, state, event) for state in states for event in flapping.close(state, slot, reason)]
        run_id = os.urandom(6).hex()
        instances.record_events(self.con, happened, run_id, self.now)
        instances.drop(self.con, states)
        self.con.execute(statement("end_acks"), {"now": self.now})
        changed = compose.Changed(rule, self.catalogue.get(rule.definition.metric), slot, [], happened)
        compose.tell(self.con, [changed], self.policy, holds.Holding(), run_id=run_id, now=self.now)


def _differing(one: Definition, other: Definition) -> list[str]:
    mine, others = one.to_dict(), other.to_dict()
    return [key for key in mine if mine[key] != others[key]]
