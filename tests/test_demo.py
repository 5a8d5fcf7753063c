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
    assert story["drift"]["significant_drift"] is True
    for name in ("precision", "recall"):
        estimate, true = story["quality"][name], story["truth"][name]
        assert estimate["low"] <= true <= estimate["high"]
    assert story["reviewed_share"] < story["quality"]["precision"]["low"]
    assert 200 < story["reviewed"] < 500
    assert len(Path("detmon-demo/notices.jsonl").read_text().splitlines()) == story["notices"]


def test_a_folder_of_somebody_else_is_left_alone(detmon: Shell) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years of work")
    assert "is not empty" in detmon("demo", "mine", code=2).err
    assert Path("mine/thesis.txt").read_text() == "years of work"


def test_the_reviewer_tells_the_truth_of_the_log(detmon: Shell) -> None:
    """The truth in SQL is the truth that verdicts tell, box by box."""
    from types import SimpleNamespace

    from logs import lines

    boxes = [{"label": "car", "confidence": c / 100, "bbox": [1, 1, 5, 5]} for c in range(100)]
    rows = [
        {
            "prediction_id": f"p{n}",
            "model_id": "m",
            "timestamp": f"2026-03-02T00:{n:02}:00Z",
            "image_id": f"{n}.jpg",
            "detections": boxes,
        }
        for n in range(40)
    ]
    Path("log.jsonl").write_bytes(lines(*rows))
    detmon("ingest", "log.jsonl")
    said = list(demo.verdicts(SimpleNamespace(prediction_id=row["prediction_id"], detections=boxes) for row in rows))
    from detmon import Client

    with Client().store.reading() as con:
        truth = demo.truth(con)
    right = sum(row["feedback_type"] == "correct" for row in said)
    missed = sum(row["feedback_type"] == "missed_object" for row in said)
    assert abs(truth.precision - right / 4000) < 1e-12
    assert abs(truth.recall - right / (right + missed)) < 1e-12
