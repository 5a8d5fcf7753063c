"""A/B tests with reviews: real detectors whose truth is known, and who may win."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Shell
from test_ab import START, row, write

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


def test_a_shadow_of_which_each_model_has_a_sample_reviewed(detmon: Shell) -> None:
    """The engine draws each model's images for itself, so that few images have both models' answers reviewed."""
    rng = np.random.default_rng(3)
    rows, right = [], {}
    for number in range(1200):
        boxes = int(rng.integers(1, 4))
        for model in ("m@1", "m@2"):
            name, when = f"{number}-{model}", START + timedelta(seconds=60 * number)
            rows.append(row(model, when, f"{number}.jpg", [0.8] * boxes, prediction_id=name))
            right[name] = rng.random(boxes) < (0.7 if model == "m@1" else 0.9)
    detmon("ingest", write(detmon.folder / "log.jsonl", rows))
    detmon("dataset", "create", "review")
    (detmon.folder / "engine.toml").write_text("[random_sample]\nenabled = true\nrate = 0.2\n")
    for model in ("m@1", "m@2"):
        detmon("engine", "configure", "--model", model, "--dataset", "review", "--file", "engine.toml")
        detmon("engine", "run", "--model", model)
    items = detmon("item", "list", "--dataset", "review", "--limit", "10000", "--json").json
    chosen = [one["prediction_id"] for one in items]
    lines = [
        f"{name},{place},{'correct' if good else 'false_positive'}"
        for name in chosen
        for place, good in enumerate(right[name])
    ]
    (detmon.folder / "verdicts.csv").write_text("\n".join(["prediction_id,detection_index,type", *lines]) + "\n")
    detmon("feedback", "import", "verdicts.csv")
    span = ("--start", "2026-03-02T00:00Z", "--duration-days", "1", "--metric", "feedback_score")
    detmon("ab", "create", "t", "--model-a", "m@1", "--model-b", "m@2", *span)
    found = detmon("--now", "2026-03-03T00:00Z", "ab", "results", "t", "--json").json
    of_arm = [[right[name] for name in chosen if name.endswith(model)] for model in ("m@1", "m@2")]
    shares = [float(np.concatenate(some).mean()) for some in of_arm]
    assert (found["shadow"], found["effects"]["feedback_score"]["method"]) == (True, "paired")
    assert [found["model_a"]["reviewed"], found["model_b"]["reviewed"]] == [len(some) for some in of_arm]
    assert found["effects"]["feedback_score"]["difference"] == pytest.approx(shares[1] - shares[0], abs=1e-9)
    apart = [sum((some - share).sum() ** 2 for some in arm) for arm, share in zip(of_arm, shares, strict=True)]
    boxes_of = [sum(map(len, arm)) for arm in of_arm]
    se = np.sqrt(sum(part / n**2 for part, n in zip(apart, boxes_of, strict=True)))
    half = (found["effects"]["feedback_score"]["high"] - found["effects"]["feedback_score"]["low"]) / 2
    assert half == pytest.approx(1.96 * se, rel=0.15)
    assert found["winner"] == "b"


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
