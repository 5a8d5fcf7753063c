"""`drift check` on real logs, and on two logs without a store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from conftest import Shell

from detmon import Client


def judged(folder: Path, reference: pa.Table, current: pa.Table) -> Any:
    paths = [folder / "reference.parquet", folder / "current.parquet"]
    for path, table in zip(paths, (reference, current), strict=True):
        parquet.write_table(table, path)
    return Client().check_drift(reference_log=paths[0], current_log=paths[1])


def halves(log: Path) -> tuple[pa.Table, pa.Table]:
    table = parquet.read_table(log).sort_by("timestamp")
    return table.slice(0, table.num_rows // 2), table.slice(table.num_rows // 2)


def at_random(table: pa.Table, seed: int, tag: str | None = None) -> tuple[pa.Table, pa.Table]:
    """The rows in two parts, drawn at random; rows of one value of `tag` stay together."""
    units = np.arange(table.num_rows)
    if tag is not None:
        values = [dict(tags)[tag] for tags in table["tags"].to_pylist()]
        units = np.unique(values, return_inverse=True)[1]
    side = np.random.default_rng(seed).random(int(units.max()) + 1) < 0.5
    return table.filter(pa.array(side[units])), table.filter(pa.array(~side[units]))


@pytest.mark.parametrize("name", ["opendatacam/highway_log", "mot15/TUD-Campus_log", "mot15/TUD-Stadtmitte_log"])
def test_too_short_videos_prove_nothing(data: Path, tmp_path: Path, name: str) -> None:
    assert judged(tmp_path, *halves(data / f"{name}.parquet")).significant_drift is None


@pytest.mark.parametrize(("name", "blocks"), [("opendatacam/junction_log", 13), ("bdd100k/log", 20)])
def test_short_videos_are_judged_by_the_second(data: Path, tmp_path: Path, name: str, blocks: int) -> None:
    found = judged(tmp_path, *halves(data / f"{name}.parquet"))
    assert (found.blocks.size, found.blocks.reference, found.blocks.current) == ("1s", blocks, blocks)
    assert found.significant_drift is False
    assert "short_blocks" in {warning.code for warning in found.warnings}


def frames_at_random(data: Path, tmp_path: Path, draws: int) -> int:
    table = parquet.read_table(data / "kitti/rrc_log.parquet")
    found = [judged(tmp_path, *at_random(table, seed)) for seed in range(draws)]
    assert {one.blocks.size for one in found} == {"5s"}
    return sum(bool(one.significant_drift) for one in found)


def sequences_at_random(data: Path, tmp_path: Path, version: str, draws: int) -> int:
    table = parquet.read_table(data / f"cameratrap/model_{version}_log.parquet")
    found = [judged(tmp_path, *at_random(table, seed, "sequence")) for seed in range(draws)]
    assert {one.blocks.size for one in found} == {"1d"}
    return sum(bool(one.significant_drift) for one in found)


def test_nothing_changed_is_no_drift(data: Path, tmp_path: Path) -> None:
    assert frames_at_random(data, tmp_path, 2) == 0
    assert sequences_at_random(data, tmp_path, "v0", 2) == sequences_at_random(data, tmp_path, "v1", 2) == 0


@pytest.mark.slow
def test_nothing_changed_is_hardly_ever_drift(data: Path, tmp_path: Path) -> None:
    assert frames_at_random(data, tmp_path, 30) <= 1
    assert sequences_at_random(data, tmp_path, "v0", 30) <= 3
    assert sequences_at_random(data, tmp_path, "v1", 30) <= 3


def test_another_training_run_is_drift(data: Path) -> None:
    logs = [data / f"cameratrap/model_{version}_log.parquet" for version in ("v0", "v1")]
    found = Client().check_drift(reference_log=logs[0], current_log=logs[1])
    assert found.significant_drift
    assert found.model_id is None
    assert min(found.effects[name].adjusted_p for name in ("avg_confidence", "low_confidence_rate")) < 0.05
    assert "different_models" in {warning.code for warning in found.warnings}


def test_another_threshold_is_named(data: Path, tmp_path: Path) -> None:
    """Half of a log is cut at 0.25 afterwards: the check says that, not that the world has changed."""
    reference, current = at_random(parquet.read_table(data / "cameratrap/model_v0_log.parquet"), 1, "sequence")
    rows = [
        {**row, "detections": [box for box in row["detections"] if box["confidence"] >= 0.25]}
        for row in current.to_pylist()
    ]
    found = judged(tmp_path, reference, pa.Table.from_pylist(rows, current.schema))
    assert found.significant_drift
    assert "confidence_floor_moved" in {warning.code for warning in found.warnings}


def test_another_camera_is_drift(data: Path, tmp_path: Path) -> None:
    """One station of the camera traps against the others."""
    import pyarrow.compute as pc

    table = parquet.read_table(data / "cameratrap/model_v0_log.parquet")
    largest = max(set(table["source"].to_pylist()), key=table["source"].to_pylist().count)
    mine = pc.equal(table["source"], largest)
    found = judged(tmp_path, table.filter(pc.invert(mine)), table.filter(mine))
    assert "sources_differ" in {warning.code for warning in found.warnings} or found.blocks.size == "source"
    assert "source_mix_changed" in {warning.code for warning in found.warnings}


def test_collapsed_classes_are_drift(data: Path, tmp_path: Path) -> None:
    reference, current = at_random(parquet.read_table(data / "cameratrap/model_v0_log.parquet"), 2, "sequence")
    rows = [
        {**row, "detections": [{**box, "label": "animal"} for box in row["detections"]]} for row in current.to_pylist()
    ]
    found = judged(tmp_path, reference, pa.Table.from_pylist(rows, current.schema))
    assert found.significant_drift
    assert "animal" in found.affected_classes
    assert found.new_classes == ("animal",)
    assert "labels_renamed" in {warning.code for warning in found.warnings}


def test_a_refused_log_leaves_nothing_behind(detmon: Shell, data: Path, tmp_path: Path) -> None:
    detmon.monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    logits = data / "kitti/pointrcnn_log.parquet"
    refused = detmon.process("drift", "check", "--reference-log", logits, "--current-log", logits)
    assert refused.returncode == 2
    assert b"hint: --score-scale logit" in refused.stderr
    args = ("--reference-log", data / "kitti/rrc_log.parquet", "--current-log", logits, "--score-scale", "logit")
    contradicted = detmon.process("drift", "check", *args)
    assert contradicted.returncode in (0, 2)
    assert list((tmp_path / "temporary").iterdir()) == []


LOG = [
    {
        "model_id": "m",
        "timestamp": datetime(2026, 3, 2, tzinfo=UTC) + timedelta(minutes=10 * number),
        "image_id": f"{number} of cam.jpg",
        "source": f"cam-{number % 3}",
        "detections": [{"label": "car", "confidence": 0.5 + 0.001 * (number % 400)}] * (number % 4),
    }
    for number in range(21 * 144)
]


@pytest.mark.parametrize(
    ("change", "reads"),
    [
        ({}, True),
        ({"image_id": "a\nb"}, False),
        ({"model_id": None}, False),
        ({"image_id": LOG[8]["image_id"], "timestamp": LOG[8]["timestamp"], "source": LOG[8]["source"]}, False),
        ({"detections": [{"label": "car", "confidence": 1.5}]}, False),
        ({"detections": [{"label": "", "confidence": 0.5}]}, False),
        ({"timestamp": datetime(1999, 3, 2, tzinfo=UTC)}, False),
    ],
)
def test_parquet_is_read_in_place_where_ingest_would_take_it_as_it_is(
    detmon: Shell, change: dict[str, Any], reads: bool
) -> None:
    """And the answer is the same as that of the store, in either case."""
    from detmon.drift.parquet import in_place

    rows = [dict(row) for row in LOG]
    rows[5] |= change
    for name, some in (("reference", rows[: 14 * 144]), ("current", rows[14 * 144 :])):
        parquet.write_table(pa.Table.from_pylist(some), detmon.folder / f"{name}.parquet")
    con = in_place([detmon.folder / "reference.parquet"], detmon.folder, datetime(2026, 4, 1))
    assert (con is not None) == reads
    if con is not None:
        con.close()
    now = ("--now", "2026-04-01T00:00:00Z")
    logs = ("--reference-log", "reference.parquet", "--current-log", "current.parquet")
    found = detmon(*now, "drift", "check", *logs, "--json").json
    rejected = [warning["message"] for warning in found["warnings"] if warning["code"] == "rejected_records"]
    repeated = change.get("image_id") == LOG[8]["image_id"]
    assert bool(rejected) == (not reads and not repeated) or repeated
    ingested = detmon(*now, "ingest", "reference.parquet", "current.parquet", "--json").json
    assert ingested["predictions"] == sum(volume["images"] for volume in found["volumes"].values())
    periods = ("--reference", found["reference_period"], "--current", found["current_period"])
    stored = detmon(*now, "drift", "check", *periods, "--json").json
    assert stored["effects"] == found["effects"]
    assert stored["classes"] == found["classes"]
