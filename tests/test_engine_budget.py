"""Budgets: what is kept, with which probability, and what comes later."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from conftest import Shell
from test_engine import configure, image, ingest, items, run

DAY = timedelta(days=1)


def day(number: int, n: int = 240, sources: int = 2) -> list[dict[str, Any]]:
    """`n` images spread over a day, cameras in turn."""
    return [
        image(10_000 * number + k, source=f"cam-{k % sources}", at=number * DAY + timedelta(seconds=360 * k))
        for k in range(n)
    ]


def at(detmon: Shell, number: float) -> None:
    """Let the clock stand so many days after the first."""
    hours = round(number * 24)
    detmon.monkeypatch.setenv("DETMON_NOW", f"2026-03-{2 + hours // 24:02}T{hours % 24:02}:00:00Z")


def test_a_day_is_selected_once_it_is_over(detmon: Shell) -> None:
    ingest(detmon, day(0) + day(1))
    configure(detmon, random_sample={"rate": 1.0}, budget={"per_day": 10})
    at(detmon, 0.9)
    assert run(detmon)["scanned"] == 0
    at(detmon, 1.5)
    assert (run(detmon)["scanned"], len(items(detmon))) == (240, 10)
    assert run(detmon)["scanned"] == 0
    at(detmon, 2)
    assert (run(detmon)["scanned"], len(items(detmon))) == (240, 20)
    assert {item["inclusion_probability"] for item in items(detmon).values()} == {10 / 240}


def test_stages_act_one_after_the_other(detmon: Shell) -> None:
    ingest(detmon, day(0) + day(1, sources=3))
    configure(detmon, random_sample={"rate": 0.8}, budget={"per_day": 30, "per_source_day": 12, "gap": "1h"})
    at(detmon, 3)
    run(detmon)
    found = items(detmon).values()
    assert max(Counter(item["timestamp"][:10] for item in found).values()) == 30  # three cameras of 12
    per_source = Counter((item["timestamp"][:10], item["source"]) for item in found)
    assert max(per_source.values()) == 12
    assert set(Counter((item["timestamp"][:13], item["source"]) for item in found).values()) == {1}
    for item in found:
        assert 0.8 / 5 * 12 / 24 * 30 / 36 - 0.01 <= item["inclusion_probability"] <= 0.8


def test_few_predictions_meet_no_cap(detmon: Shell) -> None:
    ingest(detmon, day(0, n=8))
    configure(detmon, random_sample={"rate": 1.0}, budget={"per_day": 10, "per_source_day": 5, "gap": "10s"})
    at(detmon, 2)
    run(detmon)
    assert [item["inclusion_probability"] for item in items(detmon).values()] == [1.0] * 8


def test_a_scan_again_selects_the_same(detmon: Shell) -> None:
    ingest(detmon, day(0))
    configure(detmon, random_sample={"rate": 0.5}, budget={"per_day": 9, "gap": "2h"})
    at(detmon, 2)
    run(detmon)
    before = items(detmon)
    for period in ("2026-03-02:2026-03-02", "2026-03-02T10:00Z/2026-03-02T11:00Z", "2026-02-01:2026-04-01"):
        assert run(detmon, "--period", period)["flagged"] == 0  # a budget scans whole days again
        assert items(detmon) == before
    assert len(before) == 9


def test_rows_that_come_later_meet_the_same_cap(detmon: Shell) -> None:
    ingest(detmon, day(0, n=240, sources=1))
    configure(detmon, random_sample={"rate": 1.0}, budget={"per_day": 120})
    at(detmon, 1)
    run(detmon)
    before = items(detmon)
    late = [image(50_000 + k, source="cam-9", at=timedelta(seconds=60 * k)) for k in range(400)]
    ingest(detmon, late, "late.jsonl")
    done = run(detmon)
    assert done["scanned"] == 400
    assert 140 < done["flagged"] < 260  # half of them, by chance
    after = items(detmon)
    assert {item["inclusion_probability"] for item in after.values()} == {0.5}
    assert before.items() <= after.items()


def test_a_camera_that_uploads_late_has_its_own_caps(detmon: Shell) -> None:
    ingest(detmon, day(0, sources=1))
    configure(detmon, random_sample={"rate": 1.0}, budget={"per_source_day": 7, "gap": "30m"})
    at(detmon, 1)
    run(detmon)
    late = [image(50_000 + k, source="cam-9", at=timedelta(seconds=60 * k)) for k in range(400)]
    ingest(detmon, late, "late.jsonl")
    assert run(detmon)["flagged"] == 7
    assert Counter(item["source"] for item in items(detmon).values()) == {"cam-0": 7, "cam-9": 7}


@pytest.mark.parametrize("files", [1, 5])
def test_how_a_log_is_split_into_files_does_not_matter(detmon: Shell, files: int) -> None:
    records = day(0, n=60) + day(1, n=60)
    for part in range(files):
        ingest(detmon, records[part::files], f"part{part}.jsonl")
    configure(detmon, random_sample={"rate": 0.7}, budget={"per_day": 4, "per_source_day": 3, "gap": "15m"})
    at(detmon, 5)
    run(detmon)
    assert " ".join(sorted(items(detmon))) == "m-10020 m-10021 m-10038 m-10057 m-14 m-18 m-24 m-53"
