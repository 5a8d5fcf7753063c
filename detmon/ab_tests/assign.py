"""Which arm a unit goes to: four lines that any router can hold (docs/ab.md)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from detmon.ab_tests.definition import Comparison
from detmon.ab_tests.records import Assignment
from detmon.stats.buckets import bucket


def assign(test: Comparison, units: Iterable[str]) -> Iterator[Assignment]:
    """The arm of each unit: b where its bucket under the test's id is below the split."""
    split = test.definition.traffic_split
    arms = {False: ("a", test.model_a), True: ("b", test.model_b)}
    for unit in units:
        yield Assignment(unit, *arms[bucket(test.id, unit) < split])
