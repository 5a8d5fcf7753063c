"""What a window of a log holds: from rollups and from rows, in every zone, the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from detmon import Client, demo
from detmon.drift.counts import Counts
from detmon.drift.pieces import pieces
from detmon.drift.windows import Log, Window, by_source
from detmon.stats.blocks import Block, whole_days
from detmon.store import Connection, Store

START = datetime(2026, 3, 20)
"""The clocks of Madrid and of Lord Howe Island (by half an hour) change in the days that follow."""
WORLD = demo.World(start=START, days=21, cameras=3, seconds=900, bad_days=0)


class Rows(Window):
    """A window that reads its rows only."""

    @cached_property
    def _reads_rollups(self) -> bool:  # type: ignore[override]
        return False


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    folder = tmp_path_factory.mktemp("windows")
    demo.write_logs(WORLD, folder / "logs")
    for number, path in enumerate(sorted((folder / "logs").glob("*"))):
        if number % 5 == 0:  # several batches
            Client(folder / "store.duckdb").ingest([path])
    Client(folder / "store.duckdb").ingest(folder / "logs")
    with Store(folder / "store.duckdb").reading() as opened:
        yield opened


def equal(one: Counts, other: Counts) -> bool:
    names = ("objects", "confidence", "micro", "classes", "cells")
    return one.labels == other.labels and all(np.array_equal(getattr(one, n), getattr(other, n)) for n in names)


ZONES = ["UTC", "Europe/Madrid", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns"]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("minutes", [0, 137])
def test_rollups_and_rows_say_the_same(con: Connection, zone: str, minutes: int) -> None:
    span = (START + timedelta(minutes=minutes), START + timedelta(days=20, minutes=minutes))
    windows = [kind(Log(con, demo.MODEL), *span, ZoneInfo(zone)) for kind in (Window, Rows)]
    assert windows[0].images == windows[1].images > 5000
    assert windows[0].sources == windows[1].sources
    assert (windows[0].first, windows[0].last) == (windows[1].first, windows[1].last)
    days = [Block(*day, 0) for day in whole_days(*span, ZoneInfo(zone))]
    assert 18 <= len(days) <= 20
    ranges = [(day.start, day.end) for day in days]
    images = [window.hours(ranges) for window in windows]
    assert images[0] == images[1]
    counts = [window.days(days, range(24)) for window in windows]
    assert equal(*counts)
    assert counts[0].objects.sum(axis=(1, 2)).tolist() == [sum(row) for row in images[0]]
    assert counts[0].classes.sum() == counts[0].confidence.sum()
    assert equal(*(window.days(days, [3, 4, 17]) for window in windows))
    spans = [Block(span[0] + timedelta(minutes=50 * k), span[0] + timedelta(minutes=50 * k + 50), 0) for k in range(9)]
    assert equal(*(window.spans(spans) for window in windows))
    assert windows[0].presence(days) == windows[1].presence(days) == dict.fromkeys(windows[0].sources, len(days))
    assert windows[0].presence(spans) == dict.fromkeys(windows[0].sources, len(spans))


def test_days_are_as_long_as_their_clocks_say(con: Connection) -> None:
    window = Window(Log(con, demo.MODEL), START, START + timedelta(days=20), ZoneInfo("Europe/Madrid"))
    days = list(whole_days(window.start, window.end, window.zone))
    images = [sum(row) for row in window.hours(days)]
    assert sorted(set(images)) == [23 * 12, 24 * 12]
    short = images.index(23 * 12)
    assert f"{days[short][1]:%Y-%m-%d}" == "2026-03-29"
    assert window.hours(days)[short][2] == 0  # the hour that there was not


@pytest.mark.parametrize("zone", ZONES)
def test_pieces_cover_a_range_and_keep_to_clock_hours(zone: str) -> None:
    start, end = START + timedelta(days=6, minutes=11), START + timedelta(days=20, minutes=3)
    cut = pieces([(start, end)], ZoneInfo(zone))
    assert (cut[0].start, cut[-1].end) == (start, end)
    for piece, following in zip(cut, [*cut[1:], replace(cut[-1], start=end)], strict=True):
        assert piece.end == following.start
        first, last = (
            moment.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(zone))
            for moment in (piece.start, piece.end - timedelta(microseconds=1))
        )
        assert first.hour == last.hour == piece.hour


def test_one_source_and_the_rest_make_all(con: Connection) -> None:
    whole = Window(Log(con, demo.MODEL), START, START + timedelta(days=20))
    days = [Block(*day, 0) for day in whole_days(whole.start, whole.end, whole.zone)]
    parts = [replace(whole, source=name).days(days, range(24)) for name in whole.sources]
    assert np.array_equal(sum(part.objects for part in parts), whole.days(days, range(24)).objects)
    with by_source(whole, whole):
        sorted_first = [replace(whole, source=name).days(days, range(24)) for name in whole.sources]
    assert all(map(equal, parts, sorted_first))
    blocks = [Block(whole.start, whole.end, 0, name) for name in whole.sources]
    of_sources = whole.of_sources(blocks)
    for number, part in enumerate(parts):
        assert np.array_equal(of_sources.confidence[number, 0], part.confidence.sum(axis=(0, 1)))
        assert of_sources.micro[number, 0] == part.micro.sum()
    assert {name: sum(labels.values()) for name, labels in whole.source_classes().items()} == {
        name: int(part.classes.sum()) for name, part in zip(whole.sources, parts, strict=True)
    }


def test_a_floor_leaves_lower_detections_out(con: Connection) -> None:
    whole = Window(Log(con, demo.MODEL), START, START + timedelta(days=20))
    days = [Block(*day, 0) for day in whole_days(whole.start, whole.end, whole.zone)]
    all_boxes, high = (window.days(days, range(24)) for window in (whole, replace(whole, floor=700_000)))
    assert np.array_equal(high.confidence[:, :, 700:], all_boxes.confidence[:, :, 700:])
    assert high.confidence[:, :, :700].sum() == 0
    assert high.objects.sum() == all_boxes.objects.sum()
    assert high.objects[:, :, 0].sum() > all_boxes.objects[:, :, 0].sum()
    boxes = (high.objects * np.arange(66)).sum()
    assert boxes == high.classes.sum() == high.confidence.sum()


def test_volumes_of_short_blocks(con: Connection) -> None:
    window = Window(Log(con, demo.MODEL), START, START + timedelta(hours=5, minutes=20))
    assert window.timestamps == 66  # 22 rounds of 3 cameras, one after the other
    assert window.volumes(timedelta(hours=1), 5) == {0: 12, 1: 12, 2: 12, 3: 12, 4: 18}
