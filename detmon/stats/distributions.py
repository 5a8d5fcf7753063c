"""Tails of the usual distributions, equal to scipy.stats to the last bit, from scipy.special alone.

Arguments are floats; scipy's own broadcasting is not used, so that the results are plain numbers.
"""

from __future__ import annotations

import math
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any


@cache
def special() -> Any:
    """The compiled functions of scipy.special, in a tenth of the time that importing all of it takes.

    The package's own start imports numpy's Fortran tools and test tools, which no function here needs. Where scipy's
    layout is another one, the whole package serves; who imports it later gets the same functions.
    """
    name = "scipy.special"
    if name not in sys.modules:
        shell = ModuleType(name)
        shell.__path__ = [str(Path(folder) / "special") for folder in import_module("scipy").__path__]
        sys.modules[name] = shell
        try:
            return import_module(f"{name}._ufuncs")
        except ImportError:
            pass
        finally:
            del sys.modules[name]
    return import_module(name)


def t_sf(x: float, df: float) -> float:
    """P(T > x) of Student's t; normal for an infinite df."""
    return float(special().stdtr(df, -x) if df < math.inf else special().ndtr(-x))


def t_isf(p: float, df: float) -> float:
    """The x with P(T > x) = p; normal for an infinite df."""
    return float(-(special().stdtrit(df, p) if df < math.inf else special().ndtri(p)))


def t_two_sided(t: float, df: float) -> float:
    """The two-sided p-value of a t statistic."""
    return min(1.0, 2 * t_sf(abs(t), df))


def norm_sf(x: float) -> float:
    """P(Z > x) of the standard normal."""
    return float(special().ndtr(-x))


def norm_isf(p: float) -> float:
    """The x with P(Z > x) = p."""
    return float(-special().ndtri(p))


def chi2_sf(x: float, df: float) -> float:
    """P(X > x) of chi-square."""
    return float(special().chdtrc(df, x))


def f_sf(x: float, df1: float, df2: float) -> float:
    """P(X > x) of Fisher's F."""
    return float(special().fdtrc(df1, df2, x))
