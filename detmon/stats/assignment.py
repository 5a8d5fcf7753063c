"""Which of two groups belong together."""

from __future__ import annotations

from collections.abc import Mapping


def assign(likeness: Mapping[tuple[int, int], float]) -> list[tuple[int, int]]:
    """The pairs of the assignment with the largest sum of likenesses; a pair that is not listed is no pair.

    Likenesses are positive. The Hungarian method (Kuhn, 1955) by scipy, where there is a choice at all.
    """
    rows, columns = ({pair[side] for pair in likeness} for side in (0, 1))
    if len(rows) == len(likeness) == len(columns):
        return sorted(likeness)
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    table = np.zeros((max(rows) + 1, max(columns) + 1))
    for place, value in likeness.items():
        table[place] = value
    chosen = zip(*linear_sum_assignment(table, maximize=True), strict=True)
    return [(int(row), int(column)) for row, column in chosen if (row, column) in likeness]
