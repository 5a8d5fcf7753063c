"""Weights, intervals and calibration curves, on a few numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from detmon.stats import calibration, estimation
from detmon.stats.estimation import Cell

DAYS = np.repeat(np.arange(10), 3)
ONE = np.ones(30)
ZERO = np.zeros(30, int)


def estimate(y: np.ndarray, x: np.ndarray = ONE, w: np.ndarray = ONE, share: bool = True) -> estimation.Ratio:
    found = estimation.ratio_estimate(w, y, x, ZERO, DAYS, DAYS * 24, share=share)
    assert found is not None
    return found


# --- weights -------------------------------------------------------------------------------------------------------


def test_a_weight_is_what_an_image_stands_for() -> None:
    cells = [Cell(0.5, "a", 10, 10), Cell(0.5, "b", 10, 5), Cell(0.1, "a", 20, 10)]
    assert estimation.weights(cells) == {(0.5, "a"): 2.0, (0.5, "b"): 4.0, (0.1, "a"): 20.0}


def test_small_cells_are_merged_over_sources() -> None:
    cells = [Cell(0.5, "a", 10, 10), Cell(0.5, "b", 4, 2), Cell(0.5, "c", 4, 2)]
    assert estimation.weights(cells) == {(0.5, "a"): 2.0, (0.5, "b"): 4.0, (0.5, "c"): 4.0}
    alone = [Cell(0.5, "a", 10, 10), Cell(0.5, "b", 2, 0)]  # nothing small to merge with: the whole rate
    assert estimation.weights(alone) == {(0.5, "a"): 2.0, (0.5, "b"): 12 / (0.5 * 10)}


def test_a_rate_without_reviews_is_named() -> None:
    assert estimation.weights([Cell(0.5, "a", 10, 10), Cell(0.1, "a", 3, 0), Cell(0.1, "b", 3, 0)]) == 0.1


def test_the_many_rates_of_a_budget_share_cells() -> None:
    cells = [Cell(0.5 + place / 100, "a", 2, place % 2) for place in range(20)]
    found = estimation.weights(cells)
    assert not isinstance(found, float)
    assert found[0.55, "a"] == 40 / (0.55 * 10)


# --- ratios --------------------------------------------------------------------------------------------------------


def test_the_variance_is_over_clusters() -> None:
    alternating = np.tile([0.0, 1.0, 1.0], 10)  # every day alike
    by_day = np.repeat(np.arange(10) % 3 > 0, 3).astype(float)  # whole days right or wrong
    assert estimate(alternating).value == pytest.approx(2 / 3)
    assert estimate(alternating).effective_n == 30
    assert estimate(by_day).value == 0.6
    assert estimate(by_day).effective_n == pytest.approx(9)
    assert estimate(by_day).high - estimate(by_day).low > 1.5 * (estimate(alternating).high - estimate(alternating).low)


def test_days_give_way_to_hours_and_hours_to_images() -> None:
    day, hour = np.repeat([0, 1, 2], 10), np.arange(30) // 3
    source = np.zeros(30, int)
    assert estimation.clusters(source, DAYS, hour)[0].max() == 9
    assert estimation.clusters(source, day, hour)[0].max() == 9
    assert estimation.clusters(source, day, day * 24) == (pytest.approx(np.arange(30)), True)
    four = np.repeat([0, 1, 2, 3, 3], 6)
    assert estimation.clusters(source, four, four)[0].max() == 3
    assert estimation.clusters(np.arange(30) % 3, day, day)[0].max() == 8  # days of a source


def test_no_error_at_all_leaves_what_is_not_excluded() -> None:
    found = estimate(ONE)
    assert (found.value, found.high, found.effective_n) == (1, 1, 30)
    assert found.low == pytest.approx(0.05 ** (1 / 30))
    none = estimate(np.zeros(30))
    assert (none.low, none.high) == (0, pytest.approx(1 - 0.05 ** (1 / 30)))
    uneven = estimate(ONE, w=np.where(np.arange(30) < 3, 10.0, 1.0))
    assert uneven.effective_n == pytest.approx(57**2 / 327)


def test_a_rate_may_be_above_one_but_not_below_zero() -> None:
    y = np.where(np.arange(30) % 10 == 0, 20.0, 0.0)
    found = estimate(y, share=False)
    assert found.value == 2
    assert found.low == 0
    assert found.high > 4
    assert estimate(np.zeros(30), share=False).high == pytest.approx(-math.log(0.05) / 30)


def test_without_a_denominator_there_is_no_ratio() -> None:
    assert estimation.ratio_estimate(ONE, np.zeros(30), np.zeros(30), ZERO, DAYS, DAYS) is None
    one = estimation.ratio_estimate(ONE[:1], ONE[:1], ONE[:1] * 2, ZERO[:1], DAYS[:1], DAYS[:1])
    assert one
    assert one.low < 0.1
    assert math.isfinite(one.high)


def test_expected_precision_sharpens_an_estimate() -> None:
    rng = np.random.default_rng(5)
    expected = rng.random(2000)
    y = (rng.random(2000) < expected).astype(float)
    chosen = np.arange(2000) % 5 == 0
    value, low, high = estimation.assisted_ratio(
        np.full(400, 5.0), y[chosen], expected[chosen], float(expected.sum()), 2000
    )
    assert low < y.mean() < high
    assert abs(value - y.mean()) < 0.04
    plain = 2 * 1.96 * math.sqrt(0.25 / 400 * 0.8)
    assert high - low < plain


# --- calibration ---------------------------------------------------------------------------------------------------


def test_equal_confidences_are_one() -> None:
    curve = calibration.isotonic_curve(
        np.array([0.2, 0.2, 0.8, 0.9]), np.array([0.0, 1.0, 1.0, 0.0]), np.array([1.0, 3.0, 1.0, 1.0])
    )
    assert curve(np.array([0.0, 0.2, 0.5, 1.0])) == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2 / 3])
    up = calibration.isotonic_curve(np.array([0.2, 0.6]), np.array([0.0, 1.0]), np.ones(2))
    assert up(np.array([0.1, 0.4, 0.7])) == pytest.approx([0, 0.5, 1])


def test_platt_finds_the_curve_again() -> None:
    rng = np.random.default_rng(1)
    scores = rng.uniform(0.05, 0.95, 4000)
    truth = 1 / (1 + np.exp(-(-0.5 + 1.5 * np.log(scores / (1 - scores)))))
    curve = calibration.platt_curve(scores, (rng.random(4000) < truth).astype(float), np.ones(4000))
    assert np.abs(curve(scores) - truth).max() < 0.05
    perfect = calibration.platt_curve(np.linspace(0.1, 0.9, 200), np.ones(200), np.ones(200))
    assert np.isfinite(perfect(scores)).all()


def test_the_curve_is_as_fine_as_the_reviews_allow() -> None:
    assert [calibration.method(*pair) for pair in ((149, 99), (150, 49), (150, 50), (500, 99), (500, 100))] == [
        None, None, "platt", "platt", "isotonic",
    ]  # fmt: skip


def test_the_error_of_calibration() -> None:
    scores, correct = np.array([0.95, 0.95, 0.15, 1.0]), np.array([1.0, 0.0, 0.0, 1.0])
    w = np.array([1.0, 1.0, 2.0, 1.0])
    bins = calibration.reliability(scores, correct, w)
    assert [(one.low, one.n) for one in bins] == [(0.1, 1), (0.9, 3)]
    assert bins[1].precision == pytest.approx(2 / 3)
    assert calibration.calibration_error(scores, correct, w) == pytest.approx((2 * 0.15 + 0.9) / 5)


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(3).normal(0.5, 0.1, 20)
    without = [float(np.delete(values, place).mean()) for place in range(20)]
    low, high = calibration.jackknife(float(values.mean()), without)
    assert high - low == pytest.approx(2 * 2.093 * values.std(ddof=1) / math.sqrt(20), rel=1e-3)
