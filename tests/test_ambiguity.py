"""The ambiguity detector: each line of its table, at its threshold and just below."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from detmon.formats import ambiguity
from detmon.formats.instants import State, instants

SIZE = np.full(1000, 640.0), np.full(1000, 480.0)
UNKNOWN = np.full(1000, np.nan), np.full(1000, np.nan)


def mixed(share: float, odd: list[float], usual: list[float]) -> Any:
    """1,000 boxes, a share of them odd."""
    n = round(share * 1000)
    return np.array([odd] * n + [usual] * (1000 - n)).T


def codes(findings: list[ambiguity.Finding]) -> list[tuple[str, str | None]]:
    return [(finding.code, finding.hint) for finding in findings]


USUAL = [100.0, 100, 50, 60]


@pytest.mark.parametrize(
    ("xywh", "sizes", "layout", "found"),
    [
        (mixed(0.99, [0.1, 0.2, 0.3, 0.4], USUAL), SIZE, "xywh", "xywh-norm"),
        (mixed(0.99, [0.1, 0.2, 0.3, 0.4], USUAL), UNKNOWN, "cxcywh", "cxcywh-norm"),
        (mixed(0.98, [0.1, 0.2, 0.3, 0.4], USUAL), SIZE, "xywh", None),
        (mixed(1, [0.1, 0.2, 0.3, 0.4], USUAL), SIZE, "xywh-norm", None),
        (mixed(1, [0, 0, 1, 1], USUAL), (np.full(1000, 2.0), np.full(1000, 2.0)), "xywh", None),
        (mixed(0.21, [400, 300, 500, 400], [10, 10, 50, 60]), SIZE, "xywh", "xyxy"),
        (mixed(0.20, [400, 300, 500, 400], [10, 10, 50, 60]), SIZE, "xywh", None),
        (mixed(0.011, [100, 100, -50, 20], USUAL), SIZE, "xyxy", "xywh"),
        (mixed(0.010, [100, 100, -50, 20], USUAL), SIZE, "xyxy", None),
        (mixed(0.021, [600, 450, 80, 60], USUAL), SIZE, "xywh", "cxcywh"),
        (mixed(0.020, [600, 450, 80, 60], USUAL), SIZE, "xywh", None),
        (mixed(0.51, [100, 100, -50, 20], USUAL), SIZE, "xywh", "xyxy"),
        (mixed(0.50, [100, 100, -50, 20], USUAL), SIZE, "xywh", None),
        (mixed(0.21, [635, 100, 205, 60], USUAL), SIZE, "xywh", "xyxy"),
        (mixed(0.20, [635, 100, 205, 60], USUAL), SIZE, "xywh", None),
        (mixed(1, [635, 100, 205, 60], USUAL), UNKNOWN, "xywh", None),
        (mixed(0.21, [-100, 100, 50, 60], USUAL), SIZE, "xywh", "xyxy"),
        (mixed(0.20, [-100, 100, 50, 60], USUAL), SIZE, "xywh", None),
        (mixed(1, [-64, 100, 50, 60], USUAL), SIZE, "xywh", None),
        (mixed(0.21, [-100, 100, 50, 60], USUAL), SIZE, "xyxy", "xywh"),
    ],
)
def test_boxes(xywh: Any, sizes: Any, layout: str, found: str | None) -> None:
    findings = ambiguity.boxes(xywh, *sizes, layout)
    assert [(finding.hint or "").split()[1] for finding in findings] == ([] if found is None else [found])


def test_a_given_layout_is_refused_when_most_boxes_are_impossible() -> None:
    for share, impossible in ((0.51, True), (0.49, False)):
        (finding,) = ambiguity.boxes(mixed(share, [100, 100, -50, -50], USUAL), *SIZE, "xyxy", given=True)
        assert finding.impossible == impossible


@pytest.mark.parametrize(
    ("odd", "n", "found"),
    [
        (29.0, 11, "--score-scale percent"),
        (29.0, 10, None),
        (100.5, 11, "--score-scale logit"),
        (-0.5, 11, "--score-scale logit"),
        (2.0, 11, "fix the logger, or --score-scale clip"),
        (1.0000009, 1000, None),
    ],
)
def test_scores(odd: float, n: int, found: str | None) -> None:
    values = np.array([odd] * n + [0.5] * (1000 - n))
    assert codes(ambiguity.scores(values)) == ([] if found is None else [("score_scale", found)])


@pytest.mark.parametrize(
    ("ids", "names", "offset", "hint"),
    [
        ([1, 2, 3], 3, 0, "--category-offset -1"),
        ([0, 1, 2], 3, 0, None),
        ([1, 2], 3, 0, None),
        ([1, 2, 3], 3, -1, None),
        ([0, 1], 3, -1, "--category-offset 0"),
        ([1, 90], 80, 0, "--categories: another list"),
        ([], 3, 0, None),
    ],
)
def test_categories(ids: list[int], names: int, offset: int, hint: str | None) -> None:
    assert codes(ambiguity.categories(ids, names, offset)) == ([] if hint is None else [("category_base", hint)])


@pytest.mark.parametrize(
    ("number", "unit"),
    [
        (10**9 - 1, None),
        (10**9, "seconds"),
        (10**11 - 1, "seconds"),
        (10**11, None),
        (10**12 - 1, None),
        (10**12, "milliseconds"),
        (10**14 - 1, "milliseconds"),
        (10**14, None),
        (10**15, "microseconds"),
        (10**17 - 10**9, "microseconds"),
        (10**18, "nanoseconds"),
        (9 * 10**18 - 10**12, "nanoseconds"),
        (10**17, None),
    ],
)
def test_the_unit_of_an_epoch(number: int, unit: str | None) -> None:
    found = instants(pa.array([number]), None)
    assert found.units == (set() if unit is None else {unit})
    assert found.state[0] == (State.ok if unit else State.unreadable)


@pytest.mark.parametrize(
    ("ids", "offset", "found"),
    [
        ([1, 2], 0, True),
        ([0, 1], 0, False),
        ([2, 3], -1, False),
        ([1, 2], -1, False),
        ([3], 0, True),
        ([1, 2, 3], 0, True),
    ],
)
def test_categories_that_may_begin_at_one(ids: list[int], offset: int, found: bool) -> None:
    assert [finding.code for finding in ambiguity.categories(ids, 3, offset, told=False)] == ["category_base"] * found


def test_latency_times_ids_and_floors() -> None:
    assert codes(ambiguity.latency(np.full(100, 0.49))) == [("latency_unit", "--latency-unit s")]
    assert ambiguity.latency(np.full(99, 0.49)) == ambiguity.latency(np.full(100, 0.5)) == []
    assert [code for code, _ in codes(ambiguity.times(1, 0, 10, None))] == ["no_zone"]
    assert [code for code, _ in codes(ambiguity.times(0, 6, 10, "03/04/2026"))] == ["date_order"]
    assert ambiguity.times(0, 5, 10, "03/04/2026") == []
    assert "log: `a.JPG`, list: `a`" in ambiguity.ids(6, 10, "a.JPG", "a")[0].message
    assert ambiguity.ids(5, 10, "a", "b") == []
    assert [finding.refuse for finding in ambiguity.floors({"a": {0.1}, "b": {0.5}})] == [False]
    assert ambiguity.floors({"a": {0.1}, "b": {0.1}}) == ambiguity.floors({}) == []
