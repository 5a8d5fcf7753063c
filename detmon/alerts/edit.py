"""Making, changing, pausing and removing rules; what was open is closed, and told so, in the same transaction."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from detmon.alerts import compose, flapping, instances, rules
from detmon.alerts.instances import Happened
from detmon.alerts.rules import BEHAVIOUR, Definition, Rule
from detmon.alerts.targets import Targets
from detmon.errors import UsageError
from detmon.metrics import Metric
from detmon.store import Connection, statement


@dataclass(frozen=True)
class Editor:
    """What every edit needs: the open store, the metrics, the targets of rules that name none, and the time."""

    con: Connection
    catalogue: Mapping[str, Metric]
    targets: Targets
    now: datetime

    def create(self, model_id: str, name: str, definition: Definition, *, replace_it: bool = False) -> Rule:
        """Add a rule, or return the equal one that is there; with `replace_it` change the one of this name."""
        if not name:
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
        states = list(instances.load(self.con, [rule])[rule.id].values())
        slot = rule.last_slot or rule.newest_slot(self.now)
        happened = [Happened(rule, state, event) for state in states for event in flapping.close(state, slot, reason)]
        run_id = os.urandom(6).hex()
        instances.record_events(self.con, happened, run_id, self.now)
        instances.drop(self.con, states)
        changed = compose.Changed(rule, self.catalogue.get(rule.definition.metric), slot, [], happened)
        compose.tell(self.con, [changed], self.targets, run_id=run_id, now=self.now)


def _differing(one: Definition, other: Definition) -> list[str]:
    mine, others = one.to_dict(), other.to_dict()
    return [key for key in mine if mine[key] != others[key]]
