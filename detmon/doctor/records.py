"""What `doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass

from detmon.records import Record

LEVELS = ("error", "warning", "info", "ok")
"""The worst first."""


@dataclass(frozen=True)
class Finding(Record):
    """One finding: what it means for the user's numbers, and what helps; of one model where `model_id` says so."""

    code: str
    level: str
    message: str
    hint: str | None = None
    model_id: str | None = None


@dataclass(frozen=True)
class Diagnosis(Record):
    """All findings, the worst first."""

    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """4 when the store could not be looked at, else 1 when a warning or an error stands."""
        if any(finding.code in ("store_unreadable", "store_damaged") for finding in self.findings):
            return 4
        return int(any(finding.level in ("error", "warning") for finding in self.findings))
