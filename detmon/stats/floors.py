"""Where a model's scores begin, and whether they begin elsewhere since (docs/statistics.md, "Where scores begin")."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Counts = NDArray[np.integer[Any]]

BINS = 1000
"""Equal bins of confidence."""
ENOUGH = 1000
"""Scored boxes without which the smallest score hangs on chance."""
EDGE = 0.005
"""The share of the scores that lies below the edge."""
SHIFT = 0.05


@dataclass(frozen=True)
class Begin:
    """Where `scored` confidences begin: the `lowest`, and the `edge` that 0.5 % do not pass, both as their bins begin.

    Scores without a floor thin out downwards: their smallest hangs on chance, their edge does not. A floor moves both.
    """

    scored: int
    lowest: float
    edge: float


def begin(counts: Counts) -> Begin | None:
    """The begin of scores that are counted in 1,000 equal bins; None when there are none."""
    import numpy as np

    up_to = np.cumsum(counts)
    n = int(up_to[-1])
    lowest, edge = np.searchsorted(up_to, [1, max(EDGE * n, 1)])
    return Begin(n, int(lowest) / BINS, int(edge) / BINS) if n else None


def moved(before: Sequence[Begin], since: Sequence[Begin]) -> bool:
    """Whether scores begin elsewhere: lowest and edge of all parts `since` lie more than 0.05 from all `before`.

    False as well when one side has fewer than 1,000 scored boxes: nothing can be told then.
    """
    if min(sum(part.scored for part in before), sum(part.scored for part in since)) < ENOUGH:
        return False
    of: tuple[Callable[[Begin], float], ...] = (lambda part: part.lowest, lambda part: part.edge)
    return all(_apart([value(part) for part in before], [value(part) for part in since]) for value in of)


def _apart(before: Sequence[float], since: Sequence[float]) -> bool:
    return max(min(since) - max(before), min(before) - max(since)) > SHIFT + 1e-9
