"""The slots of a rule: those that a check has to evaluate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from detmon.alerts.rules import Rule
from detmon.metrics import Window
from detmon.times import floor_slot

MOST_SLOTS = 2000
"""A rule's slots that one check makes up at most."""


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
