"""Matchers: which label sets a silence, a maintenance window or an inhibition is about. Pure.

`K=V`, `K!=V`, `K=~RE`, `K!~RE`; all must hold. A label that is missing is the empty text, and a regular expression
has to match the whole value: as Alertmanager has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from detmon.errors import UsageError

FullMatch = Callable[[str, str], bool]
"""(pattern, text) → whether the whole text matches."""
_WRITTEN = re.compile(r"\s*([^=!~\s]+)\s*(=~|!~|!=|=)(.*)", re.S)


@dataclass(frozen=True)
class Matcher:
    """One condition on one label; `operator` is `=`, `!=`, `=~` or `!~`."""

    label: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f"{self.label}{self.operator}{self.value}"

    @property
    def is_regex(self) -> bool:
        """Whether `value` is a regular expression."""
        return "~" in self.operator

    def holds(self, labels: Mapping[str, str], full_match: FullMatch) -> bool:
        """Whether the condition holds for a label set."""
        text = labels.get(self.label, "")
        alike = full_match(self.value, text) if self.is_regex else text == self.value
        return alike is not self.operator.startswith("!")


def parse(text: str) -> Matcher:
    """The matcher that a user wrote; its regular expression is not looked at yet. Raises UsageError."""
    written = _WRITTEN.fullmatch(text)
    if not written:
        raise UsageError(
            f"{text!r} is not a matcher", "write source=cam-3, source!=cam-3, source=~cam-.*, source!~cam-.*"
        )
    return Matcher(*written.groups())


def all_hold(matchers: Iterable[Matcher], labels: Mapping[str, str], full_match: FullMatch) -> bool:
    """Whether every matcher holds for a label set; no matcher holds for all."""
    return all(matcher.holds(labels, full_match) for matcher in matchers)


def check(matchers: Iterable[Matcher], full_match: FullMatch) -> None:
    """Raise UsageError for the first regular expression that is none."""
    for matcher in matchers:
        if matcher.is_regex:
            try:
                full_match(matcher.value, "")
            except UsageError as error:
                raise UsageError(f"{matcher}: {error.message}", error.hint) from None


def refuse_empty(matchers: Sequence[Matcher], full_match: FullMatch) -> None:
    """Raise UsageError for matchers that hold for anything: at least one has to ask for a label that is there."""
    if all_hold(matchers, {}, full_match):
        raise UsageError(
            "these matchers hold for every alert" if matchers else "a silence needs a matcher",
            "name at least one label that must be there: alertname=..., model_id=..., source=...",
        )
