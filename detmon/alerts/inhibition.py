"""Inhibition: while one alert fires, others of the same place are not told. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from detmon.alerts.matchers import FullMatch, Matcher, all_hold

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Inhibition:
    """What matches `target` is held while something firing matches `source`, with the same values of `equal`."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()

    def place(self, labels: Labels) -> tuple[str, ...]:
        """The values of `equal`; a label that is missing is the empty text."""
        return tuple(labels.get(name, "") for name in self.equal)


class Inhibitors:
    """The firing label sets, looked up by the inhibitions they are a source of."""

    def __init__(self, inhibitions: Iterable[Inhibition], firing: Iterable[Labels], full_match: FullMatch) -> None:
        self._full_match = full_match
        self._sources: list[tuple[Inhibition, dict[tuple[str, ...], list[tuple[str, bool]]]]] = []
        fires = list(firing)
        for one in inhibitions:
            sources: dict[tuple[str, ...], list[tuple[str, bool]]] = defaultdict(list)
            for labels in fires:
                if all_hold(one.source, labels, full_match):
                    sources[one.place(labels)].append((labels["alertname"], self._is_target(one, labels)))
            if sources:
                self._sources.append((one, sources))

    def of(self, labels: Labels) -> str | None:
        """The name of an alert whose firing holds this label set, or None.

        What matches both sides of an inhibition is not held by another one that does: the two would hold each other,
        and nobody would be told.
        """
        for one, sources in self._sources:
            if self._is_target(one, labels):
                both = all_hold(one.source, labels, self._full_match)
                for alert, is_target in sources.get(one.place(labels), ()):
                    if not (both and is_target):
                        return alert
        return None

    def _is_target(self, one: Inhibition, labels: Labels) -> bool:
        return all_hold(one.target, labels, self._full_match)
