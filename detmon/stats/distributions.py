"""Tails of the usual distributions, equal to scipy.stats to the last bit, from scipy.special alone.

Arguments are floats; scipy's own broadcasting is not used, so that the results are plain numbers.
"""

from __future__ import annotations

import math
from importlib import import_module
from threading import Thread


def preload() -> None:
    """Begin to import scipy: it takes as long as reading the store does, and both can go on at once."""
    Thread(target=import_module, args=("scipy.special",)).start()


def t_sf(x: float, df: float) -> float:
    """P(T > x) of Student's t; normal for an infinite df."""
    from scipy import special

    return float(special.stdtr(df, -x) if df < math.inf else special.ndtr(-x))


def t_isf(p: float, df: float) -> float:
    """The x with P(T > x) = p; normal for an infinite df."""
    from scipy import special

    return float(-(special.stdtrit(df, p) if df < math.inf else special.ndtri(p)))


def t_two_sided(t: float, df: float) -> float:
    """The two-sided p-value of a t statistic."""
    return min(1.0, 2 * t_sf(abs(t), df))


def norm_sf(x: float) -> float:
    """P(Z > x) of the standard normal."""
    from scipy import special

    return float(special.ndtr(-x))


def norm_isf(p: float) -> float:
    """The x with P(Z > x) = p."""
    from scipy import special

    return float(-special.ndtri(p))


def norm_pdf(x: float) -> float:
    """The density of the standard normal."""
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def chi2_sf(x: float, df: float) -> float:
    """P(X > x) of chi-square."""
    from scipy import special

    return float(special.chdtrc(df, x))


def f_sf(x: float, df1: float, df2: float) -> float:
    """P(X > x) of Fisher's F."""
    from scipy import special

    return float(special.fdtrc(df1, df2, x))
