"""A test that is being answered: what was asked, and what is to be said beside the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from detmon import reviewed
from detmon.ab_tests.definition import Comparison
from detmon.ab_tests.evidence import Found
from detmon.ab_tests.records import ABWarning
from detmon.ab_tests.settings import Settings
from detmon.stats import looks
from detmon.stats.looks import Judgement, Look
from detmon.store import Connection

EXPECTED = 10_000.0
"""Units expected of a test without a planned end whose models have no history."""
ALWAYS_UNITS = 100
"""Images that each arm needs before the first hourly look."""


@dataclass
class Call:
    """A test being answered, and what is to be said beside its numbers; `withheld`: why there can be no verdict."""

    con: Connection
    test: Comparison
    now: datetime
    zones: tuple[tzinfo, tzinfo]
    settings: Settings
    quality: reviewed.Settings
    warnings: list[ABWarning] = field(default_factory=list)
    withheld: list[str] = field(default_factory=list)

    @property
    def days(self) -> int:
        """The complete days."""
        return self.test.days(self.now)

    def warn(self, code: str, message: str, *, withholds: bool = False) -> None:
        """Say something; `withholds`: no winner is named."""
        self.warnings.append(ABWarning(code, message))
        if withholds:
            self.withheld.append(message)


@dataclass(frozen=True)
class Answer:
    """One metric's judgement, and what was found at the last look."""

    judged: Judgement
    last: Found


def judge(call: Call, found: Sequence[Look], unit: str) -> Judgement:
    """What looks say by the rules of the test's mode."""
    definition, alpha = call.test.definition, call.settings.alpha
    least = call.settings.least(unit)
    if definition.mode == "daily":
        return looks.daily(found, definition.duration_days, least, alpha)
    if definition.mode == "fixed":
        return looks.fixed(found, definition.duration_days, least, alpha)
    least = max(ALWAYS_UNITS, least) if unit == "image_id" else least
    return looks.always(found, call.test.expected_units or EXPECTED, least, alpha)


def information(unit: str, units: tuple[int, int], days: float) -> float:
    """What a look knows: units that come and go add up; other units are the same every day."""
    return 1 / (1 / units[0] + 1 / units[1]) if unit == "image_id" and min(units) else days
