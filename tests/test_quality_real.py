"""Reviews of real logs: a census has the published figures, and a few hundred reviewed images find them again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import Shell

from detmon import Client

SEED = {
    "low_confidence": {"enabled": True, "threshold": 0.6, "sample_rate": 0.6},
    "edge_cases": {"enabled": True, "conditions": ["no_detections", "high_density", "unusual_size"], "rate": 0.6},
    "random_sample": {"enabled": True, "rate": 0.25},
}
NOW = "2026-06-01T00:00:00Z"


@pytest.mark.parametrize(("version", "boxes", "correct"), [("v0", 1069, 900), ("v1", 1033, 902)])
def test_the_census_of_the_camera_traps(detmon: Shell, data: Path, version: str, boxes: int, correct: int) -> None:
    detmon("-q", "ingest", data / "cameratrap" / f"model_{version}_log.parquet")
    detmon("feedback", "import", data / "cameratrap" / f"feedback_{version}.parquet")
    found = detmon("quality", "show", "--model", f"trap-{version}", "--json", "--exit-code").json
    assert found["basis"] == "census"
    assert (found["precision"]["value"], found["precision"]["n"]) == (correct / boxes, boxes)
    assert (found["recall"]["value"], found["recall"]["n"]) == (correct / 1046, 1046)
    assert round(found["f1"], 3) == {"v0": 0.851, "v1": 0.868}[version]
    assert found["reasons"] == []
    assert abs(found["expected_precision"]["value"] - correct / boxes) < 0.005
    assert [bin["n"] for bin in found["calibration"]["bins"]][-1] > 500


def served(data: Path, folder: Path) -> Path:
    """The log of v0 as it was served: boxes from .25 on, in the places that the feedback names."""
    path = folder / "served.parquet"
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute(
            f"COPY (SELECT * REPLACE (list_filter(detections, lambda d: d.confidence >= 0.25) AS detections) "
            f"FROM '{data}/cameratrap/model_v0_log.parquet') TO '{path}'"
        )
    return path


def reviews(data: Path, chosen: Mapping[str, float], path: Path) -> tuple[int, int]:
    """The feedback on some images, and "nothing there" on those of which it says nothing; boxes judged, correct."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        names = {"names": list(chosen)}
        con.execute(
            f"CREATE TABLE said AS SELECT * FROM '{data}/cameratrap/feedback_v0.parquet' "
            "WHERE prediction_id IN (SELECT unnest($names))",
            names,
        )
        con.execute(
            "INSERT INTO said BY NAME SELECT n AS prediction_id, 'correct' AS feedback_type, 'exhaustive' AS scope, "
            "TIMESTAMPTZ '2023-04-01 00:00:00Z' AS timestamp "
            "FROM (SELECT unnest($names) AS n) WHERE n NOT IN (SELECT prediction_id FROM said)",
            names,
        )
        con.execute(f"COPY said TO '{path}' (FORMAT parquet)")
        found = con.execute(
            "SELECT count(*), count(*) FILTER (feedback_type = 'correct') FROM said WHERE detection_index IS NOT NULL"
        ).fetchone()
    assert found
    return found


def sampled(folder: Path, data: Path, base: Path, number: int) -> Any:
    """What `quality show` says when the engine of one salt chose whom to review."""
    place = folder / f"{number}.duckdb"
    shutil.copy(base, place)
    client = Client(place, now=NOW)
    dataset = client.create_dataset("review")
    client.configure_data_engine("trap-v0", {**SEED, "salt": f"salt-{number}"}, dataset.id)
    client.run_data_engine("trap-v0")
    items = {
        item.prediction_id: item.inclusion_probability or 0 for item in client.get_flagged_items(dataset.id, limit=1000)
    }
    file = folder / f"{number}.parquet"
    reviews(data, items, file)
    client.import_feedback(file)
    report = client.show_quality("trap-v0")
    place.unlink()
    return report


@pytest.mark.parametrize(
    "salts", [pytest.param(6, id="6"), pytest.param(60, id="60", marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_a_sample_of_the_camera_traps_finds_what_the_census_says(tmp_path: Path, data: Path, salts: int) -> None:
    base = tmp_path / "base.duckdb"
    Client(base, now=NOW).ingest(served(data, tmp_path))
    covered = [0, 0]
    errors = []
    for number in range(salts):
        report = sampled(tmp_path, data, base, number)
        assert report.basis == "sample"
        for place, (estimate, truth) in enumerate(((report.precision, 900 / 1069), (report.recall, 900 / 1046))):
            covered[place] += estimate.low <= truth <= estimate.high
        assert 200 < report.reviewed.counted < 400
        errors.append(report.precision.value - 900 / 1069)
    assert min(covered) >= salts - max(1, salts // 10)
    assert abs(sum(errors) / salts) < 0.02
