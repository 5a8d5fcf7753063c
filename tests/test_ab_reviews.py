"""A/B tests with reviews: real detectors whose truth is known, and who may win."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Shell

from detmon.stats.buckets import bucket

SPAN = ("--start", "2022-03-01T00:00Z", "--duration-days", "390", "--mode", "fixed", "--traffic-split", "0.5")
NOW = ("--now", "2023-05-01T00:00Z")
MODELS = ("--model-a", "trap-v0", "--model-b", "trap-v1")


def camera_traps(detmon: Shell, data: Path) -> Path:
    folder = data / "cameratrap"
    detmon("-q", "ingest", folder / "model_v0_log.parquet", folder / "model_v1_log.parquet")
    for version in (0, 1):
        detmon("feedback", "import", folder / f"feedback_v{version}.parquet")
    return folder


def test_a_census_of_the_same_photographs(detmon: Shell, data: Path) -> None:
    camera_traps(detmon, data)
    detmon("ab", "create", "shadow", *MODELS, *SPAN, "--unit", "tag:sequence", "--metric", "feedback_score")
    found = detmon(*NOW, "ab", "results", "shadow", "--json").json
    effect, (recall,) = found["effects"]["feedback_score"], found["guardrails"]
    assert (found["shadow"], found["model_a"]["units"], found["model_b"]["units"]) == (True, 712, 712)
    assert found["model_a"]["feedback_score"] == pytest.approx(900 / 1069)
    assert found["model_b"]["feedback_score"] == pytest.approx(902 / 1033)
    assert effect["difference"] == pytest.approx(0.0313, abs=1e-4)
    assert (effect["high"] - effect["low"]) / 2 / 1.9633 == pytest.approx(0.0132, abs=1e-4)
    assert found["p_value"] == pytest.approx(0.018, abs=5e-4)
    assert (recall["metric"], recall["status"]) == ("recall", "pass")
    assert recall["observed"] == pytest.approx(0.002, abs=5e-4)
    assert 0.5 < found["agreement"] < 0.7


@pytest.mark.parametrize(
    ("salts", "least"), [(3, 1), pytest.param(40, 29, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_sequences_sent_to_one_arm_seldom_name_a_winner(detmon: Shell, data: Path, salts: int, least: int) -> None:
    """The two detectors are nearly equal: with half of the photographs each, most splits must not name one."""
    folder = data / "cameratrap"
    tables = [pq.read_table(folder / f"model_v{version}_log.parquet") for version in (0, 1)]
    winners = []
    for salt in range(salts):
        db = f"{salt}.duckdb"
        for version, table in enumerate(tables):
            tags = [dict(tags)["sequence"] for tags in table["tags"].to_pylist()]
            chosen = [(bucket(f"s{salt}", tag) < 0.5) == bool(version) for tag in tags]
            part = table.filter(pa.array(chosen))
            pq.write_table(part, detmon.folder / f"{salt}-{version}.parquet")
            detmon("-q", "--db", db, "ingest", detmon.folder / f"{salt}-{version}.parquet")
            kept = set(_identified(detmon, db))
            verdicts = pq.read_table(folder / f"feedback_v{version}.parquet")
            here = pa.array([one in kept for one in verdicts["prediction_id"].to_pylist()])
            pq.write_table(verdicts.filter(here), detmon.folder / "verdicts.parquet")
            detmon("--db", db, "feedback", "import", detmon.folder / "verdicts.parquet")
        create = ("ab", "create", "t", *MODELS, *SPAN, "--unit", "tag:sequence", "--metric", "feedback_score")
        detmon("--db", db, *create)
        found = detmon("--db", db, *NOW, "ab", "results", "t", "--json").json
        assert (found["shadow"], found["srm"]["ok"]) == (False, True)
        assert found["effects"]["feedback_score"]["difference"] is not None
        winners.append(found["winner"])
    assert winners.count(None) >= least


def _identified(detmon: Shell, db: str) -> list[str]:
    rows = detmon("--db", db, "sql", "SELECT prediction_id FROM predictions", "--json").json
    return [row["prediction_id"] for row in rows]


def test_the_better_detector_wins_not_the_more_confident_one(detmon: Shell, data: Path) -> None:
    """Lidar's scores, made confidences, are higher; the camera is right more often."""
    folder = data / "kitti"
    detmon("-q", "ingest", folder / "rrc_log.parquet")
    detmon("-q", "ingest", "--score-scale", "logit", folder / "pointrcnn_log.parquet")
    for model in ("kitti-rrc", "kitti-pointrcnn"):
        detmon("feedback", "match", folder / "gt.json", "--model", model)
    first = detmon("sql", "SELECT CAST(min(ts) AS DATE) AS day FROM predictions", "--json").json[0]["day"]
    create = (
        "ab",
        "create",
        "t",
        "--model-a",
        "kitti-pointrcnn",
        "--model-b",
        "kitti-rrc",
        "--start",
        f"{first}T00:00Z",
    )
    metrics = ("--metric", "feedback_score", "--metric", "confidence", "--mode", "fixed", "--duration-days", "1")
    detmon(*create, *metrics)
    found = detmon("--now", "2030-01-01T00:00Z", "ab", "results", "t", "--json").json
    assert found["shadow"]
    assert found["model_b"]["feedback_score"] > found["model_a"]["feedback_score"]
    assert (found["winner"], found["effects"]["feedback_score"]["method"]) == ("b", "paired")
    assert "confidence_scale_differs" in {one["code"] for one in found["warnings"]}
