"""Judging a comparison as its days pass: which looks count, at which boundary, with which p-value and interval.

`daily`: a look at the end of each day of a planned duration, group-sequential. `always`: valid at any time, without a
planned end. `fixed`: one look, at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from detmon.stats import sequential
from detmon.stats.comparison import Difference
from detmon.stats.distributions import norm_isf, norm_sf, t_isf

SMALLEST_P = 1e-10


@dataclass(frozen=True)
class Look:
    """What a look found: `end` in days since the start, both arms' units, the statistical information so far."""

    end: float
    units: tuple[int, int]
    information: float
    difference: Difference


@dataclass(frozen=True)
class Judged:
    """One used look: its z, and the boundary that |z| had to reach (None: no look of its own)."""

    end: float
    z: float
    boundary: float | None


@dataclass(frozen=True)
class Judgement:
    """The p-value at the last used look (None: nothing to test yet), the interval there, and all used looks.

    `decisive` is the look that the p-value rests on: with a p-value that never rises it may be an earlier one.
    """

    p: float | None
    low: float | None
    high: float | None
    difference: Difference | None
    looks: tuple[Judged, ...] = ()
    decisive: Judged | None = None


NOTHING = Judgement(None, None, None, None)


def usable(looks: Sequence[Look], min_units: int) -> list[Look]:
    """The looks that may be tested: enough units in both arms, and more information than at the last one."""
    found: list[Look] = []
    for look in looks:
        enough = min(look.units) >= min_units
        if enough and look.information > (found[-1].information if found else 0.0):
            found.append(look)
    return found


def daily(looks: Sequence[Look], duration: float, min_units: int, alpha: float = 0.05) -> Judgement:
    """Group-sequential: the repeated p-value and the interval at the last used look.

    A look that was skipped spends nothing; its alpha passes on to the next one.
    """
    judged = bounded(looks, duration, min_units, alpha)
    if not judged:
        return NOTHING
    used = usable(looks, min_units)
    last = used[-1].difference
    fractions = [min(look.end / duration, 1.0) for look in used]
    if len(used) == 1 and fractions[0] >= 1:
        p = max(last.p, SMALLEST_P)
    else:
        p = sequential.repeated_p([look.z for look in judged], [look.information for look in used], fractions)
    low, high = last.within(t_isf(norm_sf(judged[-1].boundary or sequential.NEVER), last.df))
    return Judgement(p, low, high, last, judged, max(judged, key=lambda look: abs(look.z) - (look.boundary or 0.0)))


def bounded(looks: Sequence[Look], duration: float, min_units: int, alpha: float = 0.05) -> tuple[Judged, ...]:
    """The used looks with their group-sequential boundaries."""
    used = usable(looks, min_units)
    if not used:
        return ()
    fractions = [min(look.end / duration, 1.0) for look in used]
    bounds = sequential.boundaries([look.information for look in used], fractions, alpha)
    return tuple(Judged(look.end, look.difference.z, bound) for look, bound in zip(used, bounds, strict=True))


def always(looks: Sequence[Look], n_star: float, min_units: int, alpha: float = 0.05) -> Judgement:
    """Always valid: the running minimum of the p-value, and the interval of the last look. `n_star`: units expected."""
    used = usable(looks, min_units)
    if not used or n_star <= 0:
        return NOTHING
    p_values = [sequential.always_valid_p(look.difference.z, sum(look.units), n_star, alpha) for look in used]
    judged = tuple(Judged(look.end, look.difference.z, None) for look in used)
    p, decisive = min(zip(p_values, judged, strict=True), key=lambda pair: pair[0])
    last = used[-1].difference
    low, high = last.within(sequential.always_valid_half_width(1.0, sum(used[-1].units), n_star, alpha))
    return Judgement(p, low, high, last, judged, decisive)


def fixed(looks: Sequence[Look], duration: float, min_units: int, alpha: float = 0.05) -> Judgement:
    """One look, when the whole duration has passed: the plain p-value and interval."""
    used = [look for look in looks if look.end >= duration and min(look.units) >= min_units]
    if not used:
        return NOTHING
    last = used[-1].difference
    quantile = t_isf(alpha / 2, last.df)
    judged = Judged(used[-1].end, last.z, norm_isf(alpha / 2))
    return Judgement(last.p, *last.within(quantile), last, (judged,), judged)
