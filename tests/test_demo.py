"""The simulated fleet, and the story `detmon demo` tells of it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from conftest import Shell

from detmon import demo

START = datetime(2026, 3, 2)


def fleet(**fields: object) -> list[pa.Table]:
    world = demo.World(START, **{"days": 4, "bad_days": 1, "seconds": 600, **fields})  # type: ignore[arg-type]
    return [table for _, table in demo.days_of(world)]


def mean_confidence(table: pa.Table, source: str) -> float:
    rows = table.filter(pc.equal(table["source"], source))
    return float(pc.mean(pc.struct_field(pc.list_flatten(rows["detections"]), "confidence")).as_py())


def test_equal_worlds_give_equal_logs() -> None:
    assert all(one.equals(other) for one, other in zip(fleet(), fleet(), strict=True))
    assert not fleet()[0].equals(fleet(seed=8)[0])


def test_the_dirty_camera_and_the_slow_one_stand_out_in_the_bad_days_only() -> None:
    *good, bad = fleet()
    assert mean_confidence(bad, "cam-3") < mean_confidence(good[0], "cam-3") - 0.1
    slow = [pc.quantile(t.filter(pc.equal(t["source"], "cam-5"))["latency_ms"], 0.9)[0].as_py() for t in (good[0], bad)]
    assert slow[1] > 3 * slow[0]


def test_boxes_cluster_unless_the_world_is_plain() -> None:
    def dispersion(table: pa.Table) -> float:
        counts = pc.list_value_length(table.filter(pc.equal(table["source"], "cam-1"))["detections"]).to_numpy()
        return float(np.var(counts) / np.mean(counts))

    plain = [dispersion(table) for table in fleet(level=0, bad_days=0)]
    clustered = [dispersion(table) for table in fleet(level=2, bad_days=0)]
    assert max(plain) < 1.5 < max(clustered)


def test_the_alerts_find_what_was_done(detmon: Shell) -> None:
    story = detmon("--now", "2026-11-21T00:00:00Z", "demo", "--json").json
    assert story["ingested"]["predictions"] == 151_200
    assert (story["ingested"]["duplicates"], story["ingested"]["rejected"]) == (0, 0)
    fired = {(one["alert"], one["labels"].get("source")) for one in story["episodes"]}
    assert fired == {
        ("Low Confidence Alert", None),
        ("High Latency Alert", None),
        ("Camera Confidence", "cam-3"),
    }
    assert all(one["start"] >= "2026-11-14T00:00:00Z" for one in story["episodes"])  # the bad week, nothing before it
    assert len(Path("detmon-demo/notices.jsonl").read_text().splitlines()) == story["notices"]


def test_a_folder_of_somebody_else_is_left_alone(detmon: Shell) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years of work")
    assert "is not empty" in detmon("demo", "mine", code=2).err
    assert Path("mine/thesis.txt").read_text() == "years of work"
