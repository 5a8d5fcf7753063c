"""Distances between two distributions, given as counts over the same bins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from detmon.stats.distributions import special

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Counts = Sequence[float] | NDArray[np.int64] | NDArray[np.float64]


def js_distance(p: Counts, q: Counts) -> float | None:
    """The Jensen-Shannon distance, base 2, in [0, 1]; None if a side is empty.

    Endres and Schindelin, IEEE Transactions on Information Theory 49 (2003). Disjoint sides are at 1.
    """
    import numpy as np

    found = float(js_distances(np.asarray(p, float)[None], np.asarray(q, float)[None])[0])
    return None if math.isnan(found) else found


def js_distances(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """`js_distance` of each row of [n, bins]; NaN where a side is empty."""
    import numpy as np

    filled = (p.sum(axis=1) > 0) & (q.sum(axis=1) > 0)
    p, q = (side / np.where(filled, side.sum(axis=1), 1)[:, None] for side in (p, q))
    divergence = js_contributions(p, q).sum(axis=1)
    return np.where(filled, np.sqrt(np.clip(divergence, 0, 1)), np.nan)


def js_contributions(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each bin adds to the square of the distance of two distributions that sum to 1."""
    import numpy as np

    middle = (p + q) / 2
    return np.asarray((special().rel_entr(p, middle) + special().rel_entr(q, middle)) / (2 * math.log(2)))


def ks_statistic(p: Counts, q: Counts) -> float | None:
    """The largest difference of the cumulative shares (Kolmogorov-Smirnov); None if a side is empty.

    A distance only: its p-value would take boxes for independent.
    """
    differences = _cumulative_differences(p, q)
    return None if differences is None else float(differences.max())


def wasserstein(p: Counts, q: Counts, centers: Counts) -> float | None:
    """The mean distance that mass has to move, in the units of the bins' `centers`; None if a side is empty."""
    import numpy as np

    differences = _cumulative_differences(p, q)
    return None if differences is None else float((differences[:-1] * np.diff(np.asarray(centers, float))).sum())


def _cumulative_differences(p: Counts, q: Counts) -> NDArray[np.float64] | None:
    import numpy as np

    sides = np.asarray(p, float), np.asarray(q, float)
    totals = [side.sum() for side in sides]
    if not all(totals):
        return None
    cumulative = [side.cumsum() / total for side, total in zip(sides, totals, strict=True)]
    return np.asarray(abs(cumulative[0] - cumulative[1]))
