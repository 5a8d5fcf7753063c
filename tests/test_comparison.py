"""Two arms: the published numeric cases, and what the rules owe beyond them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from test_statistics import near

from detmon.stats import comparison, looks, review_arms, sequential
from detmon.stats.looks import Look
from detmon.stats.review_arms import ReviewedArm

Case = Mapping[str, Any]


def _mean(n: int, sum: float, sum_squares: float) -> comparison.Arm:
    return comparison.Arm(sum / n, (sum_squares - sum * sum / n) / (n - 1) / n, n)


def _share(x: float, n: int) -> comparison.Arm:
    return comparison.Arm(x / n, x / n * (1 - x / n) / n, n)


def _welch(mean_a: float, sd_a: float, n_a: int, mean_b: float, sd_b: float, n_b: int) -> comparison.Difference:
    return comparison.welch(comparison.Arm(mean_a, sd_a**2 / n_a, n_a), comparison.Arm(mean_b, sd_b**2 / n_b, n_b))


def _with_interval(found: comparison.Difference) -> Case:
    from scipy import stats

    return {"est": found.est, "se": found.se, "p": found.p, "ci": found.within(stats.t.isf(0.025, found.df))}


def _ratios(a: Case, b: Case) -> Case:
    arms = [comparison.sums(arm["sum_conf"], arm["n_det"]).ratio for arm in (a, b)]
    found = comparison.welch(*arms)
    return {"ratio_a": arms[0].value, "ratio_b": arms[1].value, "est": found.est, "se": found.se, "p": found.p}


def _always(a: Any, b: Any, kind: str, difference: str, tuning: float, alpha: float) -> Case:
    arms = [_mean(**arm) if "Mean" in kind else _share(arm["sum"], arm["n"]) for arm in (a, b)]
    found = (comparison.relative if difference == "relative" else comparison.welch)(*arms)
    n = a["n"] + b["n"]
    half = sequential.always_valid_half_width(found.se, n, tuning, alpha)
    p = sequential.always_valid_p(found.t, n, tuning, alpha)
    return {"est": found.est, "se": found.se, "ci": [found.est - half, found.est + half], "p": p}


def _exceedance(hist_a: list[int], hist_b: list[int], q: float) -> Case:
    found = comparison.exceedance(hist_a, hist_b, q)
    return {**vars(found), **vars(comparison.pooled_z(found.share_a, sum(hist_a), found.share_b, sum(hist_b)))}


KINDS: dict[str, Callable[..., Any]] = {
    "always_valid_p": sequential.always_valid_p,
    "ancova_clusters": comparison.ancova,
    "gb_proportion_relative": lambda a, b: _with_interval(comparison.relative(_share(*a), _share(*b))),
    "gb_sequential": _always,
    "gb_ttest_absolute": lambda a, b: _with_interval(comparison.welch(_mean(**a), _mean(**b))),
    "gb_ttest_relative": lambda a, b: _with_interval(comparison.relative(_mean(**a), _mean(**b))),
    "gs_repeated_p": lambda z, info, frac: sequential.repeated_p(z, info, frac),
    "lan_demets_obf_two_sided_05": lambda info: sequential.boundaries(info, [one / info[-1] for one in info]),
    "miettinen_nurminen_score_p": comparison.score_test,
    "newcombe_diff_95": comparison.newcombe,
    "quantile_exceedance_test": _exceedance,
    "ratio_delta_absolute": _ratios,
    "sample_size_normal": lambda **given: dict(zip(("n_a", "n_b"), comparison.units_needed(**given), strict=True)),
    "srm_chi2": comparison.sample_ratio_p,
    "srm_eprocess_log_e": comparison.sample_ratio_log_e,
    "welch_from_moments": _welch,
}
"""How a case of each kind is computed: called with the case's input as keywords."""


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_cases(kind: str, vectors: Callable[[str], Any]) -> None:
    cases = [case for case in vectors("statistics.json")["cases"] if case["kind"] == kind]
    assert cases
    for case in cases:
        near(KINDS[kind](**case["input"]), case["expected"], case["tol"])


def test_an_interval_is_no_point_where_no_detection_is_wrong() -> None:
    arms = [ReviewedArm(1.0, 0.0, 40, 60, 0), ReviewedArm(1.0, 0.0, 400, 600, 0)]
    found = review_arms.precision_difference(*arms, units_are_images=True)
    judged = looks.fixed([Look(7, (40, 400), 36, found)], 7, 30)
    assert (judged.low, judged.high) == pytest.approx(comparison.newcombe(60, 60, 600, 600))
    assert judged.low < -0.001
    assert judged.high > 0.05
    assert looks.daily([Look(3, (40, 400), 36, found)], 7, 30).high > judged.high


def test_the_look_that_decides_may_be_an_earlier_one() -> None:
    days = [Look(day, (50, 50), day, comparison.Difference(est, 1.0, 1e6)) for day, est in ((3, 5.0), (7, -1.0))]
    found = looks.daily(days, 7, 30)
    assert found.p < 0.05
    assert (found.difference.est, found.decisive.end) == (-1.0, 3)
