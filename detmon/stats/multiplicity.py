"""Many p-values at once: false discovery rate and family-wise error."""

from __future__ import annotations

from collections.abc import Sequence


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given: adj(i) = min over j >= i of min(1, M p(j) / j), p(1) <= … <= p(M).

    Benjamini and Hochberg, JRSS B 57 (1995).
    """
    order = sorted(range(len(p)), key=lambda place: p[place])
    adjusted = [1.0] * len(p)
    smallest = 1.0
    for rank in range(len(p), 0, -1):
        place = order[rank - 1]
        smallest = min(smallest, len(p) * p[place] / rank)
        adjusted[place] = smallest
    return adjusted


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given: adj(i) = max over j <= i of min(1, (M - j + 1) p(j)).

    Holm, Scandinavian Journal of Statistics 6 (1979).
    """
    order = sorted(range(len(p)), key=lambda place: p[place])
    adjusted = [1.0] * len(p)
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = largest
    return adjusted
