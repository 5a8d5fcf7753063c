"""From sums to the difference of two arms at any look: by row, by unit, or paired on the same images."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from detmon.ab_tests.reading import COUNTS, PAIRS, SCALE, Cell, Latencies, Units, sums_of
from detmon.stats import comparison
from detmon.stats.comparison import Arm, Difference, Sums

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]

QUANTILES = {"p50_latency_ms": 0.5, "p95_latency_ms": 0.95, "p99_latency_ms": 0.99}
CLIP = 0.995
"""Latencies above this quantile of both arms count as much as it: a few stalls must not decide."""
TAIL = 10
"""A quantile is compared where so many predictions of each arm lie beyond it."""


@dataclass(frozen=True)
class Found:
    """A metric's difference at a look, how it was taken, or why there is none."""

    difference: Difference | None
    method: str
    reason: str | None = None


NOT_LOGGED = Found(None, "none", "not in the log")
NOT_ENOUGH_TAIL = Found(None, "exceedance", "not enough tail")
TOO_FEW = Found(None, "none", "not enough of it in both arms")


class Evidence(Protocol):
    """What a comparison knows of its arms; a look sees the slots before its `end`."""

    latencies: Latencies

    def units(self, end: int) -> tuple[int, int]:
        """The units of A and B."""

    def totals(self) -> tuple[dict[str, float], dict[str, float]]:
        """The sums of A and B by COUNTS."""

    def found(self, metric: str, end: int) -> Found:
        """The difference B - A."""

    def arms(self, metric: str, end: int) -> tuple[Arm, Arm] | None:
        """Each arm's ratio, where the metric is one."""


@dataclass
class ByRow:
    """Every row is a unit: sums by slot are enough."""

    cells: Sequence[Cell]
    latencies: Latencies
    _slots: dict[tuple[bool, int], Cell] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts: dict[tuple[bool, int], list[Cell]] = defaultdict(list)
        for cell in self.cells:
            parts[cell.b, cell.slot].append(cell)
        self._slots = {key: _merged(some) for key, some in parts.items()}

    def units(self, end: int) -> tuple[int, int]:
        """The rows of A and B."""
        a, b = (sum(cell.counts["rows"] for cell in self._arm(b, end)) for b in (False, True))
        return a, b

    def totals(self) -> tuple[dict[str, float], dict[str, float]]:
        """The sums of A and B by COUNTS."""
        a, b = (
            {name: sum(cell.counts[name] for cell in self.cells if cell.b == b) * SCALE.get(name, 1) for name in COUNTS}
            for b in (False, True)
        )
        return a, b

    def arms(self, metric: str, end: int) -> tuple[Arm, Arm] | None:
        """Each arm's ratio."""
        y, x = PAIRS[metric]
        return _both([sums_of(self._arm(b, end), y, x) for b in (False, True)])

    def found(self, metric: str, end: int) -> Found:
        """B - A with Welch's degrees of freedom; latency quantiles by the share above the pooled one."""
        if metric in PAIRS:
            return _welch(self.arms(metric, end))
        some = self.latencies.until(end)
        if not some.n.size:
            return NOT_LOGGED
        if metric == "avg_latency_ms":
            clip = clip_of(some)
            return _welch(_both([clipped_sums(some.kept(arm), clip) for arm in (~some.b, some.b)]))
        return _exceedance(some, QUANTILES[metric])

    def _arm(self, b: bool, end: int) -> list[Cell]:
        return [cell for (arm, slot), cell in self._slots.items() if arm == b and slot < end]


def _merged(some: Sequence[Cell]) -> Cell:
    counts = {name: sum(cell.counts[name] for cell in some) for name in COUNTS}
    products = {pair: sum(cell.products[pair] for cell in some) for pair in some[0].products}
    return Cell(some[0].b, some[0].slot, None, counts, products, None, None, False)


@dataclass
class ByUnit:
    """A unit has many rows, in one arm; `before`: A's sums of the same units in the week before, where all have any."""

    sums: Units
    latencies: Latencies
    before: dict[str, tuple[Floats, Floats]] = field(default_factory=dict)

    def units(self, end: int) -> tuple[int, int]:
        """The units of A and B."""
        import numpy as np

        seen = self.sums.slot < end
        a, b = (len(np.unique(self.sums.unit[seen & arm])) for arm in (~self.sums.b, self.sums.b))
        return a, b

    def totals(self) -> tuple[dict[str, float], dict[str, float]]:
        """The sums of A and B by COUNTS."""
        a, b = (
            {name: float(values[arm].sum()) for name, values in self.sums.values.items()}
            for arm in (~self.sums.b, self.sums.b)
        )
        return a, b

    def arms(self, metric: str, end: int) -> tuple[Arm, Arm] | None:
        """Each arm's ratio over its units."""
        unit, b, y, x = self._values(metric, end)
        return _both([comparison.sums(*_of_units(unit[arm], y[arm], x[arm])) for arm in (~b, b)])

    def found(self, metric: str, end: int) -> Found:
        """B - A over units, where the log tells enough of the metric."""
        if metric not in PAIRS:
            some = self.latencies.until(end)
            if not some.n.size:
                return NOT_LOGGED
            if metric in QUANTILES and not _tail(some, QUANTILES[metric]):
                return NOT_ENOUGH_TAIL
        return self._difference(metric, end)

    def _difference(self, metric: str, end: int) -> Found:
        """Adjusted for each unit's value before the test where that is known."""
        adjusted = self._adjusted(metric, end) if metric in self.before else None
        return _welch(self.arms(metric, end)) if adjusted is None else Found(adjusted, "ancova")

    def _values(self, metric: str, end: int) -> tuple[NDArray[np.int64], Mask, Floats, Floats]:
        """Unit, arm, Y and X of each place."""
        if metric in PAIRS:
            y, x = PAIRS[metric]
            seen = self.sums.slot < end
            return self.sums.unit[seen], self.sums.b[seen], self.sums.values[y][seen], self.sums.values[x][seen]
        some = self.latencies.until(end)
        if metric in QUANTILES:
            return some.unit, some.b, some.n * (some.bucket > _pooled_bucket(some, QUANTILES[metric])), some.n
        return some.unit, some.b, clipped(some), some.n

    def _adjusted(self, metric: str, end: int) -> Difference | None:
        import numpy as np

        unit, b, y, x = self._values(metric, end)
        names, place = np.unique(unit, return_inverse=True)
        ys, xs, arm = (_summed(place, value) for value in (y, x, b.astype(float)))
        before_y, before_x = (values[names] for values in self.before[metric])
        if (xs <= 0).any() or (before_x <= 0).any():
            return None
        return comparison.ancova(ys / xs, (arm > 0).astype(float), before_y / before_x)


def _of_units(unit: NDArray[np.int64], y: Floats, x: Floats) -> tuple[Floats, Floats]:
    import numpy as np

    _, place = np.unique(unit, return_inverse=True)
    return _summed(place, y), _summed(place, x)


def _summed(place: NDArray[np.int64], values: Floats, n: int = 0) -> Floats:
    import numpy as np

    return np.bincount(place, values, n).astype(float)


class Paired(ByUnit):
    """Both models answered for the same images: each unit is compared with itself."""

    def _difference(self, metric: str, end: int) -> Found:
        import numpy as np

        unit, b, y, x = self._values(metric, end)
        names, place = np.unique(unit, return_inverse=True)
        a, b_ = ([_summed(place[arm], part[arm], len(names)) for part in (y, x)] for arm in (~b, b))
        return paired((a[0], a[1]), (b_[0], b_[1]))


def paired(a: tuple[Floats, Floats], b: tuple[Floats, Floats]) -> Found:
    """B - A where unit i of both arms is the same: (Y, X) of A and of B."""
    totals = [(float(y.sum()), float(x.sum())) for y, x in (a, b)]
    if len(a[0]) < 2 or min(x for _, x in totals) <= 0:
        return TOO_FEW
    (r_a, mean_a), (r_b, mean_b) = ((y / x, x / len(a[0])) for y, x in totals)
    errors = (b[0] - r_b * b[1]) / mean_b - (a[0] - r_a * a[1]) / mean_a
    return Found(comparison.paired(errors, r_b - r_a), "paired")


# --- shared --------------------------------------------------------------------------------------------------------


def _both(sums: Sequence[Sums]) -> tuple[Arm, Arm] | None:
    a, b = (one.ratio for one in sums)
    return (a, b) if a is not None and b is not None else None


def _welch(arms: tuple[Arm, Arm] | None) -> Found:
    return Found(comparison.welch(*arms), "delta") if arms else TOO_FEW


def clipped(some: Latencies) -> Floats:
    """Sums of latencies in ms, those above the pooled quantile `CLIP` counted as much as it."""
    import numpy as np

    if not some.n.size:
        return some.n
    clip = clip_of(some)
    return np.where(some.bucket <= clip, some.s, some.n * _edge(clip)) / 1e3


def bucket_of(milliseconds: float) -> int:
    """The bucket of a latency."""
    return math.ceil(math.log(max(milliseconds, 0.001)) / math.log(1.02))


def _edge(bucket: int) -> int:
    """The upper edge of a bucket, in microseconds."""
    return math.floor(1.02**bucket * 1e3)


def _pooled_bucket(some: Latencies, q: float) -> int:
    """The first bucket in which the counts of both arms reach the share `q`."""
    import numpy as np

    low = int(some.bucket.min())
    cumulative = np.cumsum(np.bincount(some.bucket - low, some.n))
    return low + int(np.searchsorted(cumulative, math.ceil(q * float(some.n.sum()) - 1e-9)))


def clip_of(some: Latencies) -> int:
    """The bucket above which latencies are clipped."""
    return _pooled_bucket(some, CLIP)


def clipped_sums(some: Latencies, clip: int) -> Sums:
    """Sums of one arm's clipped latencies in ms, each row a unit."""
    kept, edge = some.bucket <= clip, _edge(clip)
    n, above = float(some.n.sum()), float(some.n[~kept].sum())
    s = float(some.s[kept].sum()) + above * edge
    ss = float(some.ss[kept].sum()) + above * edge * edge
    centred = max(ss - s * s / n, 0.0) if n else 0.0
    return Sums(int(n), s / 1e3, n, centred / 1e6, 0.0, 0.0)


def _tail(some: Latencies, q: float) -> bool:
    return all(float(some.n[arm].sum()) * (1 - q) >= TAIL - 1e-9 for arm in (~some.b, some.b))


def _exceedance(some: Latencies, q: float) -> Found:
    """Shares above the pooled quantile, each row a unit: a z test of two shares."""
    import numpy as np

    if not _tail(some, q):
        return NOT_ENOUGH_TAIL
    low, high = int(some.bucket.min()), int(some.bucket.max())
    arms = (~some.b, some.b)
    a, b = (np.bincount(some.bucket[arm] - low, some.n[arm], high - low + 1).tolist() for arm in arms)
    found = comparison.exceedance(a, b, q)
    (share_a, n_a), (share_b, n_b) = (found.share_a, sum(a)), (found.share_b, sum(b))
    z = comparison.pooled_z(share_a, n_a, share_b, n_b).z
    se = math.sqrt(share_a * (1 - share_a) / n_a + share_b * (1 - share_b) / n_b)
    return Found(comparison.DifferenceWithTest(share_b - share_a, se, math.inf, z), "exceedance")


def latency_quantile(some: Latencies, q: float) -> float | None:
    """The latency in ms at rank ceil(q n), within 1 %; None without latencies."""
    if not some.n.size:
        return None
    return float(1.02 ** (_pooled_bucket(some, q) - 0.5))
