"""The verdict on blocks: probes, families of tests, new and gone classes, and inputs at the edge."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detmon.stats.blocks import DAYS, NONE, Block, Choice, Note, Settings
from detmon.stats.clusters import Design, ar1_factor, rao_scott
from detmon.stats.distances import js_distance, ks_statistic, wasserstein
from detmon.stats.drift import DAY_PARTS, Verdict, judge, significant_among
from detmon.stats.multiplicity import benjamini_hochberg, holm
from detmon.stats.probes import BlockCounts, Table, share_values

LABELS = ("bus", "car", "truck")
START = datetime(2024, 1, 1)
DAY = timedelta(days=1)


def blocks(n: int, m: int, size: str = "1d") -> Choice:
    """A choice of n reference and m current blocks."""
    found = [Block(START + day * DAY, START + (day + 1) * DAY, 100) for day in range(n + m)]
    like = DAYS if size == "1d" else NONE
    return Choice(size, tuple(found[:n]), tuple(found[n:]), dependence=like)


def counts(
    n: int,
    m: int,
    *,
    seed: int = 1,
    images: int = 200,
    rates: tuple[float, ...] = (0.4, 1.2, 0.4),
    current_rates: tuple[float, ...] | None = None,
    confidence: tuple[float, float] = (0.7, 0.7),
    labels: tuple[str, ...] = LABELS,
) -> BlockCounts:
    """Independent frames of independent boxes, with other rates or confidences in the current window."""
    rng = np.random.default_rng(seed)
    current = np.arange(n + m) >= n
    by_frame = np.stack(
        [rng.poisson(current_rates if now and current_rates else rates, (images, len(rates))) for now in current]
    )
    objects = np.minimum(by_frame.sum(axis=2), 65)
    micro = np.zeros(n + m, np.int64)
    bins = np.zeros((n + m, 1000), np.int64)
    for place, now in enumerate(current):
        values = np.rint(
            1e6 * rng.beta(20 * confidence[int(now)], 20 * (1 - confidence[int(now)]), objects[place].sum())
        )
        micro[place] = values.sum()
        bins[place] = np.bincount((values // 1000).astype(int), minlength=1000)
    classes = by_frame.sum(axis=1)
    return BlockCounts(
        current,
        np.stack([np.bincount(row, minlength=66) for row in objects]),
        micro,
        bins,
        labels,
        classes,
        (classes[current] > 0).sum(axis=0),
    )


def verdict(table: BlockCounts, size: str = "1d", **options: object) -> Verdict:
    n = int((~table.current).sum())
    return judge(blocks(n, len(table.current) - n, size), table, **options)  # type: ignore[arg-type]


def quarters(table: BlockCounts) -> dict[str, BlockCounts]:
    """Four parts of the day, each like the whole."""
    return dict.fromkeys(DAY_PARTS, table)


# What moved ----------------------------------------------------------------------------------------------------------


def test_nothing_changed() -> None:
    found = verdict(counts(14, 7))
    assert found.significant_drift is False
    assert found.hits == found.affected_classes == ()
    assert found.reason.code == "no_drift"
    assert found.reason.message.startswith("Nothing beyond the usual range; this check could see confidence changes of")
    assert [change.tag for change in found.classes] == [None] * 3
    assert all(effect.adjusted_p > 0.05 for effect in found.effects.values() if effect.adjusted_p)


def test_a_lower_confidence_is_found_and_said() -> None:
    found = verdict(counts(14, 7, confidence=(0.7, 0.6)))
    assert found.significant_drift is True
    assert set(found.hits) == {"avg_confidence", "low_confidence_rate", "above_median_confidence"}
    effect = found.effects["avg_confidence"]
    assert effect.change == pytest.approx(-0.1, abs=0.01)
    assert effect.adjusted_p
    assert effect.adjusted_p < 1e-6
    assert found.affected_classes == ()
    assert found.confidence_drift
    assert found.confidence_drift > 0.1
    assert found.confidence_w1 == pytest.approx(0.1, abs=0.01)
    assert "mean confidence 0.699 → 0.6" in found.reason.message


def test_classes_that_moved_are_named_by_their_contribution() -> None:
    found = verdict(counts(14, 7, rates=(0.4, 1.2, 0.4), current_rates=(0.3, 1.2, 0.8)))
    assert found.affected_classes == ("truck", "bus", "car")
    tags = {change.label: change.tag for change in found.classes}
    assert (tags["bus"], tags["truck"]) == ("down", "up")
    bus = found.classes[0]
    assert bus.relative_change == pytest.approx(-0.35, abs=0.05)
    assert bus.adjusted_p is not None
    assert bus.p_value is not None
    assert bus.p_value <= bus.adjusted_p <= 0.05


def test_a_change_below_the_smallest_effect_is_none() -> None:
    table = counts(28, 28, images=5000, confidence=(0.7, 0.697))
    found = verdict(table)
    assert found.effects["avg_confidence"].adjusted_p
    assert found.effects["avg_confidence"].adjusted_p < 0.05
    assert found.confidence_drift
    assert found.confidence_drift < 0.02
    assert "avg_confidence" not in found.hits
    assert "avg_confidence" in verdict(table, settings=Settings(min_effect=0)).hits


def test_classes_move_only_relatively_far() -> None:
    table = counts(28, 28, images=2000, rates=(0.4, 4.0, 0.4), current_rates=(0.6, 4.0, 0.4))
    found = verdict(table)
    assert "class:car" in found.hits
    assert "car" not in found.affected_classes
    assert "car" in verdict(table, settings=Settings(min_relative_change=0.01)).affected_classes


# Families ------------------------------------------------------------------------------------------------------------


def test_parts_of_the_day_are_a_family_of_their_own() -> None:
    same, moved = counts(14, 7), counts(14, 7, confidence=(0.7, 0.6))
    parts = {**quarters(same), "00-06": moved}
    found = verdict(same, parts=parts)
    assert found.significant_drift is True
    assert [(effect.part, effect.probe) for effect in found.day_part_effects] == [("00-06", "avg_confidence")]
    assert found.effects["avg_confidence"].adjusted_p
    assert found.effects["avg_confidence"].adjusted_p > 0.05
    assert found.hits == ("00-06 avg_confidence",)
    assert "mean confidence at 00-06 h" in found.reason.message
    assert found.p_value is not None
    assert found.p_value <= 0.05


def test_one_usable_part_is_no_family() -> None:
    same, moved = counts(14, 7), counts(14, 7, confidence=(0.7, 0.6))
    empty = replace(same, objects=same.objects * 0, micro=same.micro * 0, confidence=same.confidence * 0)
    assert verdict(same, parts={"00-06": moved, "06-12": empty}).significant_drift is False
    assert verdict(same, parts={"00-06": moved, "06-12": same}).significant_drift is True


def test_parts_belong_to_days_only() -> None:
    same, moved = counts(14, 7), counts(14, 7, confidence=(0.7, 0.6))
    assert verdict(same, "1h", parts=quarters(moved)).significant_drift is False


def test_two_families_cost_power() -> None:
    table = counts(14, 7)
    alone, both = verdict(table), verdict(table, parts=quarters(table))
    assert alone.detectable_change["avg_confidence"] is not None
    assert both.detectable_change["avg_confidence"] is not None
    assert alone.detectable_change["avg_confidence"] < both.detectable_change["avg_confidence"]


def test_sources_are_significant_together_or_not() -> None:
    drifted, same = verdict(counts(14, 7, confidence=(0.7, 0.6))), verdict(counts(14, 7))
    undecided = judge(Choice(None, reason=Note("x", "x")), counts(1, 1))
    assert significant_among([same, drifted, undecided], 0.05) == [False, True, None]
    weak = replace(drifted, p_value=0.04)
    assert significant_among([weak], 0.05) == [True]
    assert significant_among([weak, *[same] * 5], 0.05)[0] is False


# New and gone classes ------------------------------------------------------------------------------------------------


def new_class(table: BlockCounts, label: int, per_block: int, cells: int = 5) -> BlockCounts:
    """The label occurs `per_block` times in each current block, and never in the reference."""
    classes = table.classes.copy()
    classes[:, label] = np.where(table.current, per_block, 0)
    return replace(table, classes=classes, cells=np.full(len(table.labels), cells))


def test_a_new_class_is_listed_and_tested() -> None:
    found = verdict(new_class(counts(28, 7), 2, 2))
    assert found.new_classes == ("truck",)
    assert found.significant_drift is True
    assert "truck" in found.affected_classes
    assert found.classes[2].tag == "new"
    assert found.classes[2].relative_change is None
    only = verdict(new_class(counts(28, 7), 2, 2), settings=Settings(min_effect=1))
    assert only.hits == ()
    assert only.reason.message == "Beyond the usual range: new class truck."


def test_a_new_class_needs_several_cells() -> None:
    assert verdict(new_class(counts(28, 7), 2, 2, cells=1)).new_classes == ()
    assert verdict(new_class(counts(28, 7), 2, 0)).new_classes == ()


def test_a_gone_class_was_expected() -> None:
    table = counts(28, 7, rates=(0.02, 1.2, 0.4))
    classes = table.classes.copy()
    classes[28:, 0] = 0
    found = verdict(replace(table, classes=classes))
    assert found.gone_classes == ("bus",)
    assert "bus" in found.affected_classes
    few = classes.copy()
    few[1:, 0] = 0
    few[0, 0] = 40
    assert verdict(replace(table, classes=few)).gone_classes == ()


def test_a_single_current_day_needs_a_long_reference() -> None:
    assert "truck" in verdict(new_class(counts(19, 1), 2, 20)).affected_classes
    short = verdict(new_class(counts(18, 1), 2, 20, cells=5))
    assert short.new_classes == ("truck",)
    rare = verdict(new_class(counts(19, 1), 2, 19))
    assert rare.new_classes == ("truck",)
    assert rare.affected_classes == ()


def test_two_current_days_are_no_single_one() -> None:
    table = new_class(counts(20, 2), 2, 20)
    classes = table.classes.copy()
    classes[-1, 2] = 0
    found = verdict(replace(table, classes=classes), settings=Settings(min_effect=1))
    assert found.new_classes == ("truck",)
    assert found.affected_classes == ()


def test_in_short_blocks_new_classes_are_listed_only() -> None:
    found = verdict(new_class(counts(28, 7), 2, 2), "1m")
    assert found.new_classes == ("truck",)
    assert found.classes[2].tag == "new"
    assert found.affected_classes == () or "class:truck" in found.hits


# Inputs at the edge --------------------------------------------------------------------------------------------------


def test_equal_blocks_have_no_scatter_and_no_drift() -> None:
    one = counts(1, 0)
    rows = np.zeros(21, int)
    table = BlockCounts(
        np.arange(21) >= 14,
        one.objects[rows],
        one.micro[rows],
        one.confidence[rows],
        LABELS,
        one.classes[rows],
        np.full(3, 7),
    )
    found = verdict(table, parts=quarters(table))
    assert (found.class_drift, found.confidence_drift, found.count_drift) == (0, 0, 0)
    assert found.significant_drift is False
    assert {change.p_value for change in found.classes} == {1.0}
    assert set(found.detectable_change.values()) == {None}
    assert found.reason.message == "Nothing beyond the usual range; this check could hardly have seen any change."


def test_a_log_against_itself_is_at_distance_zero() -> None:
    half = counts(14, 0)
    rows = np.tile(np.arange(14), 2)
    table = BlockCounts(
        np.arange(28) >= 14,
        half.objects[rows],
        half.micro[rows],
        half.confidence[rows],
        LABELS,
        half.classes[rows],
        np.full(3, 14),
    )
    found = verdict(table)
    assert (found.class_drift, found.confidence_drift, found.count_drift) == (0, 0, 0)
    assert found.significant_drift is False


def test_a_class_that_never_occurs_has_no_probe() -> None:
    table = counts(14, 7, rates=(0.0, 1.2, 0.4))
    found = verdict(table)
    bus = found.classes[0]
    assert (bus.reference_share, bus.p_value, bus.adjusted_p, bus.relative_change, bus.tag) == (
        0,
        None,
        None,
        None,
        None,
    )


def test_a_single_class_has_no_mix() -> None:
    found = verdict(counts(14, 7, rates=(1.2,), labels=("car",)))
    assert found.class_drift == 0
    assert found.excluded_share is None
    assert found.classes[0].p_value is None


def test_without_detections_only_images_are_counted() -> None:
    table = counts(14, 7, rates=(0.0,), labels=())
    table = replace(table, classes=table.classes[:, :0], cells=np.zeros(0, int))
    found = verdict(table)
    assert (found.class_drift, found.confidence_drift, found.count_drift) == (None, None, 0)
    assert found.significant_drift is False
    assert found.effects["avg_confidence"].reference is None
    assert found.effects["detections_per_image"].adjusted_p is not None
    assert found.effects["no_detection_rate"].adjusted_p is None
    assert found.reason.message.endswith("this check could hardly have seen any change.")


def test_an_unknown_denominator_leaves_what_counts_images_open() -> None:
    found = verdict(counts(14, 7, confidence=(0.7, 0.6)), denominator_known=False)
    assert found.count_drift is None
    assert found.usual_range["count_drift"] is None
    for name in ("detections_per_image", "no_detection_rate"):
        effect = found.effects[name]
        assert (effect.reference, effect.current, effect.change, effect.adjusted_p) == (None, None, None, None)
        assert found.detectable_change[name] is None
    assert found.significant_drift is True


def test_boxes_without_confidence_are_judged_by_class_and_number() -> None:
    table = counts(14, 7, current_rates=(0.2, 1.2, 0.6))
    found = verdict(replace(table, confidence=table.confidence * 0, micro=table.micro * 0))
    assert found.confidence_drift is None
    assert found.confidence_ks is None
    assert found.effects["avg_confidence"].reference is None
    assert "class:bus" in found.hits


def test_without_blocks_there_are_distances_and_a_reason() -> None:
    reason = Note("too_few_blocks", "Not enough blocks.")
    found = judge(Choice(None, reason=reason), counts(1, 1, confidence=(0.7, 0.6)))
    assert found.significant_drift is None
    assert found.reason == reason
    assert found.confidence_drift
    assert found.confidence_drift > 0.1
    assert found.effects["avg_confidence"].change is not None
    assert found.effects["avg_confidence"].adjusted_p is None
    assert found.affected_classes == found.hits == ()
    assert found.p_value is None


def test_too_few_degrees_of_freedom_are_no_verdict() -> None:
    found = verdict(counts(5, 1))
    assert found.significant_drift is None
    assert found.reason.code == "too_few_blocks"
    new = verdict(new_class(counts(5, 1), 2, 20), settings=Settings(min_reference_blocks=5))
    assert new.new_classes == ("truck",)
    assert new.affected_classes == ()


def test_an_empty_window_is_no_error() -> None:
    table = counts(1, 1)
    empty = replace(table, **{name: getattr(table, name) * 0 for name in ("objects", "micro", "confidence", "classes")})
    found = judge(Choice(None, reason=Note("no_predictions", "x")), empty)
    assert (found.class_drift, found.confidence_drift, found.count_drift) == (None, None, None)
    assert found.classes[0].reference_share is None


def test_columns_without_information_are_left_out() -> None:
    current = np.arange(12) >= 8
    weekend = [0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]
    only_current = [0] * 8 + [1, 0, 0, 0]
    assert Design.of(current, [weekend]).df == 9
    assert Design.of(current, [weekend, weekend, [1] * 12, only_current]).df == 9


def test_the_usual_range_is_that_of_the_reference() -> None:
    found = verdict(counts(28, 7))
    usual = found.usual_range["class_drift"]
    assert usual
    assert 0 < usual.median <= usual.max
    assert found.usual_blocks == 7
    assert verdict(counts(9, 9)).usual_blocks == 4
    sources = verdict(counts(9, 9), "source")
    assert sources.usual_range == {"class_drift": None, "confidence_drift": None, "count_drift": None}


def test_what_the_reference_excludes_shrinks_with_it() -> None:
    short, long = verdict(counts(14, 7)), verdict(counts(28, 7))
    assert short.excluded_share is not None
    assert long.excluded_share is not None
    assert 0 < long.excluded_share < short.excluded_share < 0.01


def test_what_scatters_wildly_shows_nothing_and_overflows_nowhere() -> None:
    table = counts(7, 1)
    factor = 10 ** np.array([0, 7, 0, 7, 0, 7, 0, 7])
    found = verdict(replace(table, classes=table.classes * factor[:, None], micro=table.micro * (factor > 1)))
    assert found.detectable_change["detections_per_image"] is None
    assert found.significant_drift is False


# Probes --------------------------------------------------------------------------------------------------------------


def test_a_share_needs_events() -> None:
    current = np.arange(20) >= 10
    cases = np.full(20, 100)
    few, some, many = np.zeros((3, 20), np.int64)
    few[:4] = 1
    some[:6] = 1
    many[:] = 6
    assert list(share_values(few[:, None], cases, current, 5)) == []
    assert list(share_values((cases - few)[:, None], cases, current, 5)) == []
    assert [scale for _, scale, _ in share_values(some[:, None], cases, current, 5)] == ["ratio"]
    assert [scale for _, scale, _ in share_values(many[:, None], cases, current, 5)] == ["arcsine"]
    assert [scale for _, scale, _ in share_values(many[:, None], np.full(20, 19), current, 5)] == ["ratio"]
    gap = np.where(np.arange(20) == 3, 0, cases)
    assert [scale for _, scale, _ in share_values(np.minimum(many, gap)[:, None], gap, current, 5)] == ["ratio"]


def test_the_usual_median_is_the_first_bin_that_reaches_half() -> None:
    table = counts(14, 7)
    halves = np.zeros_like(table.confidence)
    halves[:, [300, 700]] = 10
    found = Table.of(blocks(14, 7), replace(table, confidence=halves), Settings(), denominator_known=True)
    assert found.above_median.tolist() == [10] * 21


def test_a_part_of_the_day_has_blocks_of_its_own() -> None:
    table = counts(14, 7)
    objects = table.objects.copy()
    objects[3], objects[15] = objects[3] // 20, 0
    whole = Table.of(blocks(14, 7), table, Settings(), denominator_known=True)
    part = whole.part(replace(table, objects=objects))
    assert part
    assert (part.design.n, part.design.m) == (13, 6)
    objects[:8] = 0
    assert whole.part(replace(table, objects=objects)) is None


def test_classes_below_twenty_detections_are_tested_together() -> None:
    table = counts(14, 7, rates=(0.004, 1.2, 0.4))
    assert 0 < table.classes[:, 0].sum() < 20
    probes = {p.name for p in Table.of(blocks(14, 7), table, Settings(), denominator_known=True).probes(whole=True)}
    assert "class:bus" not in probes
    assert {"class:car", "class:truck", "class_mix"} <= probes


def test_the_autocorrelation_factor_is_the_sum_it_stands_for() -> None:
    for k in (1, 2, 7, 100):
        for rho in (0.2, 0.8, 0.97):
            assert ar1_factor(k, rho) == pytest.approx(1 + 2 * sum((1 - j / k) * rho**j for j in range(1, k)))


def test_a_window_without_detections_has_no_mix() -> None:
    current = np.arange(12) >= 8
    table = np.where(current[:, None], 0, 10) * np.ones((12, 3))
    assert rao_scott(Design.of(current), table) is None


# Properties ----------------------------------------------------------------------------------------------------------

HISTOGRAMS = st.integers(2, 12).flatmap(
    lambda bins: st.tuples(*[st.lists(st.integers(0, 1000), min_size=bins, max_size=bins)] * 2)
)


@given(HISTOGRAMS)
def test_distances_are_symmetric_and_bounded(histograms: tuple[list[int], list[int]]) -> None:
    p, q = histograms
    found = js_distance(p, q)
    assert found == js_distance(q, p)
    if not sum(p) or not sum(q):
        assert found is None
        assert ks_statistic(p, q) is None
        assert wasserstein(p, q, range(len(p))) is None
    else:
        assert found is not None
        assert 0 <= found <= 1
        assert js_distance(p, p) == 0
        assert js_distance(p, [3 * count for count in q]) == pytest.approx(found, abs=1e-7)
        assert 0 <= (ks_statistic(p, q) or 0) <= 1 + 1e-12


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_adjusted_p_values_keep_their_order(p: list[float]) -> None:
    for adjust in (benjamini_hochberg, holm):
        adjusted = adjust(p)
        ranked = [q for _, q in sorted(zip(p, adjusted, strict=True))]
        assert ranked == sorted(ranked)
        assert all(0 <= raw <= q + 1e-12 <= 1 + 1e-12 for raw, q in zip(p, adjusted, strict=True))


@given(st.permutations(range(3)), st.integers(0, 5))
def test_verdicts_do_not_depend_on_the_order_of_labels(order: list[int], seed: int) -> None:
    table = counts(8, 3, seed=seed, images=60, current_rates=(0.5, 1.0, 0.5))
    other = replace(table, classes=table.classes[:, order], cells=table.cells[order], labels=tuple("abc"))
    first, second = verdict(table), verdict(other)
    assert first.significant_drift == second.significant_drift
    assert first.p_value == pytest.approx(second.p_value, rel=1e-6)
    assert [first.classes[k].p_value for k in order] == pytest.approx([c.p_value for c in second.classes], rel=1e-6)


@given(st.permutations(range(8)), st.integers(0, 5))
def test_verdicts_do_not_depend_on_the_names_of_sources(order: list[int], seed: int) -> None:
    table = counts(8, 8, seed=seed, images=60, confidence=(0.7, 0.67))
    names = np.array([*range(8), *range(8)])
    choice = replace(blocks(8, 8, "source"), paired=True)

    def judged(of: np.ndarray, rows: np.ndarray) -> Verdict:
        design = tuple(tuple((of == j).astype(float).tolist()) for j in range(1, 8))
        renamed = BlockCounts(
            table.current,
            table.objects[rows],
            table.micro[rows],
            table.confidence[rows],
            LABELS,
            table.classes[rows],
            table.cells,
        )
        return judge(replace(choice, design=design), renamed)

    rows = np.concatenate([np.array(order), 8 + np.array(order)])
    first, second = judged(names, np.arange(16)), judged(names, rows)
    assert first.hits == second.hits
    assert first.p_value == pytest.approx(second.p_value, rel=1e-6)
