"""From a log to a retrained, gated and promoted model: in Python as the README writes it, and in the shell."""

from __future__ import annotations

import csv
import json
import random
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from conftest import Shell

from detmon import Client

TRAINER = """
import json, pathlib, sys
data, out, model = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
labels = [line for file in data.parent.glob("labels/train/*.txt") for line in file.read_text().splitlines()]
assert labels, "nothing to learn from"
(out / "best.pt").write_text(f"{len(labels)} objects")
name, _, version = model.rpartition("@")
(out / "model.json").write_text(json.dumps({"name": name, "version": version, "uri": str(out / "best.pt")}))
"""


def settings(folder: Path, model: str, more: str = "") -> None:
    """A project with a trainer that makes `model`."""
    (folder / "train.py").write_text(TRAINER)
    command = [sys.executable, "train.py", "{dataset}/data.yaml", "{output}", model]
    text = f'[training]\ncommand = {json.dumps(command)}\nimages = "none"\n{more}'
    (folder / "detmon.toml").write_text(text)


EVALUATE = 'check = "evaluate", version = "{version}", log = "{log}", metric = "map50", operator = "ge"'
GATES = f"""
[gate.promote]
model = "{{model}}"
checks = [
  {{{{ check = "alerts", operator = "le", threshold = 0 }}}},
  {{{{ {EVALUATE}, threshold = 0.6 }}}},
]
[gate.strict]
model = "{{model}}"
checks = [{{{{ {EVALUATE}, threshold = 1 }}}}]
[gate.retrain]
model = "{{base}}"
checks = [{{{{ check = "items", dataset = "review", status = "reviewed", operator = "ge", threshold = 20 }}}}]
"""


def review(sheet: Path, sure: float) -> None:
    """Judge a CSV of `review export`: boxes of which the model is sure are right, the others are not."""
    with sheet.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        empty = not row["detection_index"]
        right = empty or float(row["confidence"]) >= sure
        row["feedback_type"] = "correct" if right else "false_positive"
    with sheet.open("w", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def record(model: str, at: datetime, source: str, sure: float, chance: random.Random) -> dict[str, Any]:
    boxes = [
        {"label": chance.choice(["car", "truck"]), "confidence": min(1, max(0.05, chance.gauss(sure, 0.15)))}
        | {"bbox": [40 + 150 * k, 100, chance.uniform(40, 110), chance.uniform(40, 90)]}
        for k in range(chance.choice([0, 1, 2, 3]))
    ]
    image = {"image_id": f"{source}/{at:%Y%m%dT%H%M}.jpg", "image_width": 640, "image_height": 480}
    return {"model_id": model, "timestamp": f"{at.isoformat()}Z", "source": source, **image, "detections": boxes}


def test_continuous_improvement_in_python(detmon: Shell) -> None:
    chance, start = random.Random(8), datetime(2024, 1, 1)
    moments = [start + timedelta(hours=2 * k) for k in range(12 * 59)]
    lines = [
        record("vehicles@3", at, source, 0.8 if at < datetime(2024, 2, 1) else 0.55, chance)
        for at in moments
        for source in ("cam-1", "cam-2")
    ]
    log = detmon.folder / "log.jsonl"
    log.write_text("".join(json.dumps(one) + "\n" for one in lines))
    settings(
        detmon.folder,
        "vehicles@4",
        GATES.format(model="vehicles@4", base="vehicles@3", version="v2 - with feedback", log="candidate.jsonl"),
    )
    client = Client(now="2024-02-29T00:00:00Z")
    model = client.register_model(name="vehicles", version="3")
    client.ingest(log)

    alert = client.create_alert(
        model_id=model.id,
        name="Low Confidence Alert",
        condition={"metric": "avg_confidence", "operator": "lt", "threshold": 0.7, "window": "1d"},
        notify=["file:notices.jsonl"],
    )
    assert [event.alert for event in client.check_alerts().events] == [alert.name]
    drift = client.check_drift(
        model_id=model.id,
        reference_period="2024-01-01:2024-01-31",
        current_period="2024-02-01:2024-02-28",
    )
    assert drift.significant_drift
    assert drift["class_drift"] is not None

    dataset = client.create_dataset(name="review")
    client.configure_data_engine(
        model_id=model.id,
        config={
            "low_confidence": {"enabled": True, "threshold": 0.6, "sample_rate": 0.3},
            "edge_cases": {"enabled": True, "conditions": ["no_detections", "high_density", "unusual_size"]},
            "random_sample": {"enabled": True, "rate": 0.05},
        },
        target_dataset_id=dataset.id,
    )
    assert client.run_data_engine(model_id=model.id).flagged > 100
    items = client.get_flagged_items(dataset_id=dataset.id, status="needs_review", limit=100)
    assert len(items) == 100
    (one, *_) = [item for item in items if item.detections]
    client.add_feedback(prediction_id=one.prediction_id, type="correct", detection=0)
    client.export_review(dataset.id, "csv", "sheet.csv")
    review(detmon.folder / "sheet.csv", 0.4)
    assert client.import_review("sheet.csv").items > 100
    assert client.show_quality(model.id).precision.value is not None

    first = client.create_dataset_version(dataset_id=dataset.id, name="v1 - before")
    client.add_items(dataset.id, [])
    version = client.create_dataset_version(
        dataset_id=dataset.id, parent_version_id=first.id, name="v2 - with feedback"
    )
    assert (version.parent_version_id, version.items) == (first.id, first.items)
    job = client.create_training_job(
        name="retrain", dataset_id=dataset.id, version_id=version.id, base_model_id=model.id, wait=True
    )
    assert (job.status, job.model_id) == ("succeeded", "vehicles@4")

    test = client.create_ab_test(
        name="v3 against v4",
        model_a_id=model.id,
        model_b_id=job.model_id,
        config={"traffic_split": 0.1, "metrics": ["confidence", "latency", "feedback_score"], "duration_days": 7},
    )
    assert client.get_ab_test_results(test.id).winner is None

    candidate = [dict(line, model_id=job.model_id) for line in lines]
    for line in candidate[::5]:
        line["detections"] = []
    (detmon.folder / "candidate.jsonl").write_text("".join(json.dumps(one) + "\n" for one in candidate))
    assert client.run_gate("retrain").decision == "pass"
    assert client.run_gate("promote").decision == "pass"
    assert client.run_gate("strict").decision == "fail"
    assert client.promote_model(job.model_id).aliases == ("champion",)
    assert client.get_model("champion").id == "vehicles@4"


def test_the_camera_traps_in_the_shell(detmon: Shell, data: Path) -> None:
    traps, now = data / "cameratrap", ("--now", "2023-03-18T00:00:00Z")
    settings(
        detmon.folder,
        "trap-v1@1",
        GATES.format(model="trap-v1@1", base="trap-v0", version="truth", log="candidate.parquet"),
    )
    toml = (detmon.folder / "detmon.toml").read_text()
    said = toml.replace('{ check = "evaluate",', '{ check = "evaluate", model = "trap-v1",')
    (detmon.folder / "detmon.toml").write_text(said)
    (detmon.folder / "candidate.parquet").write_bytes((traps / "model_v1_log.parquet").read_bytes())
    detmon("-q", "ingest", traps / "model_v0_log.parquet")
    rule = (
        "--metric",
        "avg_confidence",
        "--operator",
        "lt",
        "--threshold",
        "0.99",
        "--window",
        "7d",
        "--notify",
        "stdout:",
    )
    detmon("alert", "create", "Low Confidence Alert", "--model", "trap-v0", *rule)
    assert "FIRING" in detmon(*now, "alert", "check").out
    periods = ("--reference", "2022-05-01:2022-08-31", "--current", "2022-09-01:2022-12-31")
    assert "significant_drift" in detmon("drift", "check", *periods, "--json").json
    detmon("dataset", "create", "review")
    (detmon.folder / "engine.toml").write_text("random_sample = { rate = 0.3 }\n")
    detmon("engine", "configure", "--model", "trap-v0", "--dataset", "review", "--file", "engine.toml")
    flagged = detmon("engine", "run", "--json").json["flagged"]
    assert flagged > 100
    detmon("review", "export", "--dataset", "review", "--format", "csv", "--out", "sheet.csv")
    review(detmon.folder / "sheet.csv", 0.25)
    assert detmon("review", "import", "sheet.csv", "--json").json["items"] == flagged
    assert detmon("quality", "show", "--model", "trap-v0", "--json").json["precision"]["value"]
    assert detmon("gate", "retrain").code == 0

    detmon("version", "create", "review", "--name", "v1")
    detmon("export", "v1", "--format", "yolo", "--out", "set", "--no-images")
    assert (detmon.folder / "set" / "data.yaml").exists()
    train = (
        "train",
        "create",
        "nightly",
        "--dataset",
        "review",
        "--version",
        "v1",
        "--base-model",
        "trap-v0",
        "--wait",
    )
    assert detmon(*train, "--json").json["model_id"] == "trap-v1@1"

    detmon("dataset", "create", "gt")
    detmon("version", "create", "gt", "--name", "truth", "--from", traps / "gt.json")
    detmon("ab", "create", "v0 against v1", "--model-a", "trap-v0", "--model-b", "trap-v1@1")
    assert detmon("ab", "results", "v0 against v1", "--json").json["winner"] is None
    passed = detmon("gate", "promote", "--format", "github").out
    assert "map50 0.9278: trap-v1 on 'truth', 825 images" in passed
    assert detmon("gate", "strict", code=1).out.startswith("Gate strict\nThe gate fails.")
    detmon("model", "promote", "trap-v1@1")
    assert detmon("model", "show", "champion", "--json").json["id"] == "trap-v1@1"
