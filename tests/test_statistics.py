"""The published numeric cases, and what the formulas owe beyond them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from detmon.stats import anomaly, calibration, clusters, distances, estimation, intervals, multiplicity, probes

Case = Mapping[str, Any]


def block_test(y: np.ndarray, current: list[int], weekend: list[int], rho: float) -> clusters.Test:
    """The test of one value a block."""
    fits = clusters.Design.of(np.array(current, bool), [weekend]).fit(y[:, None])
    return fits.tests(np.array([rho]))[0]


def ratio_drift(
    num: list[float], den: list[float], current: list[int], weekend: list[int], rho: float
) -> clusters.Test:
    y = probes.ratio(np.array(num), np.array(den), np.array(current, bool))
    return block_test(y, current, weekend, rho)


def share_drift(
    count: list[float], total: list[float], current: list[int], weekend: list[int], rho: float
) -> clusters.Test:
    ((_, scale, y),) = probes.share_values(np.array(count)[:, None], np.array(total), np.array(current, bool), 5)
    assert scale == "arcsine"
    return block_test(y, current, weekend, rho)


def class_mix(counts: list[list[int]], current: list[int], weekend: list[int], rho: float) -> Any:
    return clusters.rao_scott(clusters.Design.of(np.array(current, bool), [weekend]), np.array(counts, float), rho)


def hajek_precision(correct: list[int], n_det: list[int], pi: list[float]) -> dict[str, float]:
    value, se = estimation.design_ratio(*(np.array(column, float) for column in (correct, n_det, pi)))
    return {"estimate": value, "se": se}


def robust_z(history: list[float], value: float) -> dict[str, float]:
    median, mad = anomaly.center(history)
    return {"median": median, "mad_sd": mad, "z": (value - median) / mad}


def seasonal_z(same_time_history: list[float], value: float) -> float:
    return anomaly.usual(same_time_history, "share", anomaly.Settings(floor=0)).z(value)


KINDS: dict[str, Callable[..., Any]] = {
    "ar1_variance_inflation": clusters.ar1_inflation,
    "bh_adjust": multiplicity.benjamini_hochberg,
    "day_cluster_drift": ratio_drift,
    "day_share_arcsine": share_drift,
    "hajek_precision": hajek_precision,
    "holm_adjust": multiplicity.holm,
    "isotonic": lambda y: calibration.isotonic(np.array(y, float)).tolist(),
    "js_distance_base2": lambda p_counts, q_counts: distances.js_distance(p_counts, q_counts),
    "ks_statistic_hist": lambda p_counts, q_counts: distances.ks_statistic(p_counts, q_counts),
    "rao_scott_day_cluster": class_mix,
    "robust_z": robust_z,
    "seasonal_z": seasonal_z,
    "upper95_zero_events": intervals.zero_events_upper,
    "wasserstein_hist": lambda p_counts, q_counts, centers: distances.wasserstein(p_counts, q_counts, centers),
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


def test_the_distance_is_not_the_one_in_base_e(vectors: Callable[[str], Any]) -> None:
    (case,) = (case for case in vectors("statistics.json")["cases"] if case["kind"] == "js_distance_base_e")
    got = distances.js_distance(**{key.removesuffix("_counts"): value for key, value in case["input"].items()})
    assert got == 1
    assert abs(got - case["expected"]) > 0.1


def test_only_the_compiled_functions_are_loaded_and_the_package_still_can_be() -> None:
    code = (
        "import sys\nfrom detmon.stats.distributions import t_sf\nt_sf(1.0, 5.0)\n"
        "print('scipy.special' in sys.modules, 'numpy.f2py' in sys.modules)\n"
        "import scipy.special\nfrom detmon.stats.distributions import special\n"
        "print(scipy.special.stdtr is special().stdtr or float(scipy.special.stdtr(5, -1)) == t_sf(1.0, 5.0))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "True"]
