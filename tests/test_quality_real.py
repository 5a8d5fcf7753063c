"""Reviews of real logs: a census has the published figures, and a few hundred reviewed images find them again."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import Shell

from detmon import Client
from detmon.quality.records import Estimate, QualityReport

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
    assert found["calibration"]["bins"][-1]["n"] > 500


@dataclass(frozen=True)
class Case:
    """A real log with full ground truth, and the rates at which images are chosen from it."""

    log: str
    truth: str
    model: str
    served: float
    low: float
    rate: float


CAMERATRAP = Case("cameratrap/model_v0_log.parquet", "cameratrap/gt.json", "trap-v0", 0.25, 0.4, 0.4)
KITTI = Case("kitti/rrc_log.parquet", "kitti/gt.json", "kitti-rrc", 0.3, 0.6, 0.3)
BDD = Case("bdd100k/log.parquet", "bdd100k/gt.json", "bdd-detector", 0.3, 0.6, 0.5)
LOGS = (CAMERATRAP, KITTI, BDD)
LONG = [pytest.mark.slow, pytest.mark.timeout(900)]
CASES = [
    *(pytest.param(case, 4, id=f"{case.model}-4") for case in LOGS),
    *(pytest.param(case, 40, id=f"{case.model}-40", marks=LONG) for case in LOGS),
]


def sampled(folder: Path, base: Path, data: Path, case: Case, salt: int) -> QualityReport:
    """What `quality show` says when the engine of one salt chose whom to review, and the ground truth answered."""
    store = folder / f"{salt}.duckdb"
    shutil.copy(base, store)
    client = Client(store, now=NOW)
    dataset = client.create_dataset("review")
    config = {
        "low_confidence": {"enabled": True, "threshold": 0.5, "sample_rate": case.low},
        "random_sample": {"enabled": True, "rate": case.rate},
        "salt": f"salt-{salt}",
    }
    client.configure_data_engine(case.model, config, dataset.id)
    client.run_data_engine(case.model)
    chosen = {item.image_id for item in client.get_flagged_items(dataset.id, limit=1000)}
    part = folder / f"{salt}.json"
    part.write_text(json.dumps(of_images(json.loads((data / case.truth).read_text("utf-8")), chosen)), "utf-8")
    client.match_feedback(part, case.model, min_confidence=case.served)
    report = client.show_quality(case.model)
    store.unlink()
    return report


def of_images(truth: dict[str, Any], chosen: set[str]) -> dict[str, Any]:
    """The ground truth of some of the images."""
    images = [image for image in truth["images"] if image["file_name"] in chosen]
    ids = {image["id"] for image in images}
    return {**truth, "images": images, "annotations": [one for one in truth["annotations"] if one["image_id"] in ids]}


@pytest.mark.parametrize(("case", "salts"), CASES)
def test_a_sample_finds_what_the_whole_ground_truth_says(tmp_path: Path, data: Path, case: Case, salts: int) -> None:
    base = tmp_path / "base.duckdb"
    client = Client(base, now=NOW)
    client.ingest(data / case.log)
    truth = client.show_quality(case.model, ground_truth=data / case.truth, min_confidence=case.served).ground_truth
    assert truth
    reports = [sampled(tmp_path, base, data, case, salt) for salt in range(salts)]
    assert {report.basis for report in reports} == {"sample"}
    assert all(80 < report.reviewed.counted < 450 for report in reports)
    for name in ("precision", "recall"):
        estimates: list[Estimate] = [report[name] for report in reports]
        covered = sum((one.low or 0) <= truth[name] <= (one.high or 0) for one in estimates)
        assert covered >= salts - max(1, salts // 10)
        assert abs(sum((one.value or 0) - truth[name] for one in estimates) / salts) < 0.03


def test_ground_truth_beside_reviews(detmon: Shell, data: Path) -> None:
    detmon("-q", "ingest", data / CAMERATRAP.log)
    path = data / CAMERATRAP.truth
    show = ("quality", "show", "--model", "trap-v0", "--ground-truth", path)
    found = detmon(*show, "--min-confidence", 0.25, "--json", "--exit-code").json
    truth = found["ground_truth"]
    assert round(truth["map"], 3) == 0.834
    assert {"map50", "map75", "ar100", "f1", "tide"} <= set(truth)
    assert (truth["precision"], truth["recall"], truth["threshold"]) == (914 / 1069, 914 / 1046, 0.25)
    assert truth["tide"]["Miss"] == 80
    assert found["precision"]["value"] is None
    said = detmon(*show, "--min-confidence", 0.25)
    sentence = "Against ground truth: mAP 0.834, mAP .50 0.925, precision 0.855, recall 0.874."
    assert said.out.splitlines()[1].startswith(sentence)
    assert "labels of the log only" in said.err
    detmon("feedback", "match", path, "--model", "trap-v0", "--min-confidence", 0.25)
    again = detmon(*show, "--json").json
    for name in ("precision", "recall"):
        assert again[name]["value"] == again["ground_truth"][name] == truth[name]
    assert again["ground_truth"]["threshold"] == again["reviewed"]["served_from"]
    assert again["errors"]["tide"] == {kind: n for kind, n in truth["tide"].items() if n}
    assert "no image in common" in detmon(*show[:-1], data / KITTI.truth, code=2).err
    assert "cannot read" in detmon(*show[:-1], "nothing.json", code=None).err
