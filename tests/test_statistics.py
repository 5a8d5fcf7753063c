"""The published numeric cases, and what the formulas owe beyond them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from detmon.stats import intervals, multiplicity

Case = Mapping[str, Any]

KINDS: dict[str, Callable[..., Any]] = {
    "bh_adjust": multiplicity.benjamini_hochberg,
    "holm_adjust": multiplicity.holm,
    "upper95_zero_events": intervals.zero_events_upper,
    "wilson_95": lambda x, n: intervals.wilson(x / n, n),
}
"""How a case of each kind is computed: called with the case's input as keywords."""


def near(got: Any, expected: Any, tol: float) -> None:
    """Every number of `expected` is met: |got - x| <= tol * max(1, |x|)."""
    if isinstance(expected, Mapping):
        for key, value in expected.items():
            near(got[key] if isinstance(got, Mapping) else getattr(got, key), value, tol)
    elif isinstance(expected, list):
        assert len(got) == len(expected)
        for one, value in zip(got, expected, strict=True):
            near(one, value, tol)
    else:
        assert abs(got - expected) <= tol * max(1, abs(expected)), f"{got} is not {expected}"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_cases(kind: str, vectors: Callable[[str], Any]) -> None:
    cases = [case for case in vectors("statistics.json")["cases"] if case["kind"] == kind]
    assert cases
    for case in cases:
        near(KINDS[kind](**case["input"]), case["expected"], case["tol"])
