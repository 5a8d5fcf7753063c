"""The choice of blocks: which rule holds when, and what is said about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from simulations.window import Frames

from detmon.errors import UsageError
from detmon.stats.blocks import DAY, HOUR, Choice, Settings, choose, common_hours, short_blocks, volume_rule

START = datetime(2024, 1, 1)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)


def window(
    start: datetime,
    length: timedelta,
    step: timedelta = 5 * MINUTE,
    *,
    sources: Sequence[str] = ("",),
    zone: tzinfo = UTC,
    hours: Sequence[int] = range(24),
) -> Frames:
    """A frame of each source every `step`, in some `hours` (UTC) only."""
    times = np.arange(start, start + length, step).astype("datetime64[us]")
    times = times[np.isin(times.astype("datetime64[h]").astype(int) % 24, hours)]
    names = np.repeat(np.array(sources), len(times))
    return Frames(start, start + length, np.tile(times, len(sources)), names, zone)


def merged(*windows: Frames) -> Frames:
    """One window of several, from the first one's start to the last one's end."""
    times = np.concatenate([w.times for w in windows])
    return Frames(windows[0].start, windows[-1].end, times, np.concatenate([w.names for w in windows]), windows[0].zone)


def thinned(whole: Frames, start: datetime, end: datetime, keep: int) -> Frames:
    """The window with every `keep`-th frame only within [start, end)."""
    inside = (whole.times >= np.datetime64(start)) & (whole.times < np.datetime64(end))
    kept = ~inside | (np.cumsum(inside) % keep == 0)
    return Frames(whole.start, whole.end, whole.times[kept], whole.names[kept], whole.zone)


def days(first: int, count: int, **options: object) -> Frames:
    return window(START + first * DAY, count * DAY, **options)  # type: ignore[arg-type]


def size(choice: Choice) -> tuple[str | None, int, int]:
    return choice.size, len(choice.reference), len(choice.current)


def codes(choice: Choice) -> list[str]:
    return [note.code for note in choice.warnings]


# Days ----------------------------------------------------------------------------------------------------------------


def test_days_are_chosen_when_there_are_seven() -> None:
    choice = choose(days(0, 28), days(28, 7))
    assert size(choice) == ("1d", 28, 7)
    assert choice.warnings == ()
    assert choice.reference[0].start == START
    assert {block.images for block in choice.reference} == {288}
    assert choice.design == (tuple(float(day % 7 >= 5) for day in range(35)),)
    assert (choice.parts, choice.labels_tested, choice.q) == (True, True, 0.05)


def test_days_are_local_and_follow_the_clock_change() -> None:
    madrid = ZoneInfo("Europe/Madrid")
    reference = window(datetime(2024, 3, 19, 23), 13 * DAY - HOUR, zone=madrid)
    current = window(datetime(2024, 4, 1, 22), DAY, zone=madrid)
    choice = choose(reference, current, zone=madrid)
    assert size(choice) == ("1d", 13, 1)
    assert [(block.end - block.start) // HOUR for block in choice.reference] == [24] * 11 + [23, 24]
    assert [block.images for block in choice.reference[-3:]] == [288, 276, 288]


def test_partial_days_are_left_out() -> None:
    choice = choose(window(START + 6 * HOUR, 10 * DAY), days(14, 2))
    assert size(choice) == ("1d", 9, 2)
    assert codes(choice) == ["partial_days"]
    assert "288 images of the reference period" in choice.warnings[0].message


@pytest.mark.parametrize(("start", "length"), [(9 * HOUR, 3 * HOUR), (22 * HOUR, 4 * HOUR)])
def test_without_a_whole_day_the_same_clock_range_is_compared(start: timedelta, length: timedelta) -> None:
    choice = choose(days(0, 10), window(START + 12 * DAY + start, length))
    whole = 10 if start + length <= DAY else 9
    assert size(choice) == ("1d", whole, 1)
    assert choice.reference[0].start == START + start
    assert {block.end - block.start for block in choice.reference + choice.current} == {length}
    assert [block.start for block in choice.reference] == sorted(block.start for block in choice.reference)


def test_more_than_a_day_without_a_whole_one_is_cut_to_its_last_24_hours() -> None:
    choice = choose(days(0, 10), window(START + 12 * DAY + 12 * HOUR, 30 * HOUR))
    assert size(choice) == ("1d", 9, 1)
    assert choice.current[0].start == START + 12 * DAY + 18 * HOUR
    assert codes(choice) == ["partial_days", "same_time_of_day"]


def test_empty_blocks_do_not_exist_and_thin_ones_are_dropped() -> None:
    thin = thinned(merged(days(0, 5), days(6, 5)), START + 2 * DAY, START + 3 * DAY, 6)
    choice = choose(thin, days(12, 3))
    assert size(choice) == ("1d", 9, 3)
    assert [block.start for block in choice.dropped] == [START + 2 * DAY]
    assert codes(choice) == ["low_volume"]
    assert "2024-01-03" in choice.warnings[0].message


def test_the_volume_rule_knows_blocks_that_are_not_empty() -> None:
    assert volume_rule([0, 0, 0, 100, 100, 100, 19, 20], 0.2) == [False] * 3 + [True] * 3 + [False, True]
    assert volume_rule([], 0.2) == []


def test_hours_seen_in_one_window_only_are_left_out_of_both() -> None:
    choice = choose(days(0, 10), days(12, 3, hours=range(6, 24)))
    assert size(choice) == ("1d", 10, 3)
    assert choice.hours == tuple(range(6, 24))
    assert {block.images for block in choice.reference} == {18 * 12}
    assert codes(choice) == ["common_hours"]


def test_sparse_logs_keep_their_hours() -> None:
    assert common_hours([1] * 24, [0] + [1] * 23) == tuple(range(24))
    assert common_hours([7] * 24, [0] + [7] * 23) == tuple(range(24))
    assert common_hours([11] * 24, [0] + [11] * 23) == tuple(range(1, 24))
    assert common_hours([0] * 24, [0] * 24) == tuple(range(24))


def test_day_is_not_compared_with_night() -> None:
    choice = choose(days(0, 10, hours=range(12)), days(12, 3, hours=range(12, 24)))
    assert choice.size is None
    assert choice.reason
    assert choice.reason.code == "no_common_hours"


def test_a_small_current_day_is_named() -> None:
    assert "small_current" in codes(choose(days(0, 10), thinned(days(12, 1), START, START + 20 * DAY, 6)))


# Shorter blocks ------------------------------------------------------------------------------------------------------


def test_the_span_is_longer_than_the_last_frame_by_one_step() -> None:
    assert short_blocks(START, START + 13 * SECOND, 14, 7 * SECOND) == 2
    assert short_blocks(START, START + 13 * SECOND, 14, 15 * SECOND) == 0
    assert short_blocks(START, START, 1, SECOND) == 0
    frames = np.array([START + place * SECOND / 30 for place in range(900)])
    assert short_blocks(frames[0], frames[-1], 900, SECOND) == 30


@pytest.mark.parametrize(
    ("reference", "current", "step", "expected"),
    [
        (3 * DAY, 1 * DAY, 5 * MINUTE, ("1h", 72, 24)),
        (12 * HOUR, 4 * HOUR, MINUTE, ("1h", 12, 4)),
        (7 * HOUR, 20 * MINUTE, MINUTE, ("10m", 42, 2)),
        (7 * MINUTE, 2 * MINUTE, SECOND, ("1m", 7, 2)),
        (180 * SECOND, 60 * SECOND, SECOND, ("10s", 18, 6)),
        (120 * SECOND, 60 * SECOND, SECOND / 2, ("5s", 24, 12)),
        (60 * SECOND, 10 * SECOND, SECOND / 10, ("1s", 60, 10)),
        (11 * SECOND, 11 * SECOND, SECOND / 10, (None, 0, 0)),
    ],
)
def test_the_longest_block_that_gives_enough(
    reference: timedelta, current: timedelta, step: timedelta, expected: tuple[str | None, int, int]
) -> None:
    choice = choose(window(START, reference, step), window(START + reference, current, step))
    assert size(choice) == expected
    if choice.size:
        assert codes(choice) == ["short_blocks"]
        assert not choice.parts
        assert not choice.labels_tested
    else:
        assert choice.reason
        assert choice.reason.message.startswith("Not enough blocks to judge: 0 reference days, 7 needed")


def test_the_remainder_joins_the_last_block() -> None:
    choice = choose(window(START, 430 * SECOND, SECOND), window(START + HOUR, 125 * SECOND, SECOND))
    assert [block.images for block in choice.reference] == [60] * 6 + [70]
    assert choice.current[-1].images == 65
    assert choice.current[-1].end == START + HOUR + 125 * SECOND


@pytest.mark.parametrize(
    ("length", "kappa", "floor", "cap"),
    [(MINUTE, 2, 0.2, 0.8), (10 * SECOND, 2, 0.2, 0.8), (5 * SECOND, 2, 0.4, 0.9), (SECOND, 3, 0.8, 0.97)],
)
def test_the_shorter_the_block_the_more_alike_its_neighbours(
    length: timedelta, kappa: float, floor: float, cap: float
) -> None:
    like = choose(window(START, HOUR, SECOND), window(START + HOUR, HOUR, SECOND), length).dependence
    assert (like.kappa, like.floor, like.cap) == (kappa, floor, cap)


def test_the_level_is_stricter_beyond_a_day() -> None:
    assert choose(window(START, 12 * HOUR), window(START + 14 * HOUR, 8 * HOUR)).q == 0.05
    assert choose(days(0, 3), days(3, 1)).q == pytest.approx(0.01)
    assert choose(days(0, 3), days(3, 1), settings=Settings(q=0.1)).q == pytest.approx(0.02)


def test_hours_of_the_day_are_a_wave_where_all_are_seen() -> None:
    choice = choose(days(0, 3), days(3, 1))
    assert [len(column) for column in choice.design] == [96, 96]
    assert choice.design[0][0] == pytest.approx(np.cos(2 * np.pi * 0.5 / 24))
    assert choose(window(START, 12 * HOUR), window(START + 12 * HOUR, 12 * HOUR)).design == ()


def test_blocks_of_an_hour_keep_common_clock_hours() -> None:
    choice = choose(days(0, 3), window(START + 4 * DAY + 8 * HOUR, 6 * HOUR), HOUR)
    assert size(choice) == ("1h", 18, 6)
    assert "clock_hours_differ" in codes(choice)
    few = choose(window(START, 26 * HOUR), window(START + 2 * DAY + 3 * HOUR, 2 * HOUR), HOUR)
    assert size(few) == ("1h", 26, 2)
    assert "clock_hours_differ" in codes(few)


# Sources -------------------------------------------------------------------------------------------------------------

A = [f"a{place}" for place in range(10)]
B = [f"b{place}" for place in range(10)]


def clip(names: Sequence[str], length: timedelta = 30 * SECOND, start: datetime = START) -> Frames:
    return window(start, length, SECOND, sources=names)


def test_other_sources_are_the_blocks() -> None:
    choice = choose(clip(A), clip(B))
    assert size(choice) == ("source", 10, 10)
    assert [block.source for block in choice.reference] == A
    assert (choice.design, choice.paired, choice.labels_tested, choice.ranged) == ((), False, True, False)
    assert codes(choice) == ["source_blocks"]
    assert choice.dependence.cap == 0


def test_shared_sources_are_compared_with_themselves() -> None:
    choice = choose(clip(A), clip(A), "source")
    assert size(choice) == ("source", 10, 10)
    assert len(choice.design) == 9
    assert [sum(column) for column in choice.design] == [2.0] * 9
    assert (choice.paired, choice.labels_tested) == (True, False)


def test_shared_sources_come_last() -> None:
    few = clip(A, 11 * SECOND), clip(A, 11 * SECOND, START + MINUTE)
    assert size(choose(*few)) == ("source", 10, 10)
    assert size(choose(clip(A), clip(A, start=START + HOUR)))[0] == "1s"
    assert choose(clip(A[:6], 11 * SECOND), clip(A[:6], 11 * SECOND)).size is None


def test_sources_are_others_when_less_than_half_is_shared() -> None:
    assert choose(clip(A), clip([*A[:4], *B[:6]])).size == "source"
    assert choose(clip(A, 2 * MINUTE), clip([*A[:5], *B[:5]], MINUTE)).size == "5s"
    assert choose(clip(A, 2 * MINUTE), clip(B[:1], 2 * MINUTE)).size == "10s"


def test_days_go_before_other_sources_but_say_so() -> None:
    choice = choose(days(0, 10, sources=A), days(10, 2, sources=B))
    assert choice.size == "1d"
    assert codes(choice) == ["sources_differ"]


def test_few_other_sources_leave_time() -> None:
    choice = choose(clip(A[:6], 2 * MINUTE), clip(B, MINUTE))
    assert choice.size == "5s"
    assert codes(choice) == ["short_blocks", "sources_differ"]


def test_small_sources_are_dropped() -> None:
    choice = choose(merged(clip(A), clip(["tiny"], 5 * SECOND)), clip(B))
    assert [block.source for block in choice.dropped] == ["tiny"]
    assert "tiny" in choice.warnings[-1].message


# Without a verdict, and by order -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "current", "code"),
    [
        (window(START, timedelta(0)), clip(A), "no_predictions"),
        (clip(A), window(START, timedelta(0)), "no_predictions"),
        (clip(["one"], 49 * SECOND), clip(A), "too_few_predictions"),
        (clip(A), clip(["one"], 9 * SECOND), "too_few_predictions"),
        (window(START, SECOND, SECOND, sources=["one"] * 60), clip(["one"]), "no_time"),
        (clip(["one"], MINUTE), clip(["one"]), None),
        (clip(["one"], 50 * SECOND), window(START, 10 * SECOND, SECOND), None),
    ],
)
def test_windows_that_prove_nothing(reference: Frames, current: Frames, code: str | None) -> None:
    choice = choose(reference, current)
    if code is None:
        assert choice.size
    else:
        assert choice.size is None
        assert choice.reason
        assert choice.reason.code == code


def test_a_block_length_can_be_forced() -> None:
    frames = window(START, 110 * SECOND, SECOND), window(START + HOUR, 60 * SECOND, SECOND)
    assert size(choose(*frames, 10 * SECOND)) == ("10s", 11, 6)
    assert size(choose(*frames, 7 * SECOND)) == ("7s", 15, 8)
    assert size(choose(days(0, 28), days(28, 7), DAY)) == ("1d", 28, 7)


def test_forced_blocks_keep_the_minima() -> None:
    choice = choose(days(0, 5), days(5, 2), DAY)
    assert choice.size is None
    assert choice.reason
    assert choice.reason.message.startswith("Not enough blocks of 1d to judge: 5 reference and 2 current, 7 and 1")
    assert size(choose(days(0, 5), days(5, 2), DAY, settings=Settings(min_reference_blocks=5))) == ("1d", 5, 2)
    assert choose(clip(A[:5]), clip(B), "source").size is None


@pytest.mark.parametrize("length", [6000 * SECOND, 2 * DAY])
def test_too_many_blocks_are_refused(length: timedelta) -> None:
    choice = choose(window(START, length, SECOND), window(START, length, SECOND), SECOND)
    assert choice.reason
    assert choice.reason.code == "too_many_blocks"


@pytest.mark.parametrize("block", [SECOND / 2, 2 * DAY, "weekly"])
def test_a_block_of_another_length_is_refused(block: timedelta | str) -> None:
    with pytest.raises(UsageError, match="blocks cannot be"):
        choose(days(0, 28), days(28, 7), block)
