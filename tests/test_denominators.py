"""Logs that leave out images without detections: every command says so, and has no number that needs them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from conftest import Shell

FIRST = datetime(2026, 11, 1)
NOW = "2026-11-15T00:00:00Z"
WEEK, NEXT = "2026-11-01:2026-11-07", "2026-11-08:2026-11-14"
PER_IMAGE = ("prediction_count", "detections_per_image", "no_detection_rate", "error_rate", "count_drift")


def write_csv(path: Path, prefix: str = "") -> None:
    """Two weeks of three images an hour, all with one box."""
    rows = ["image_id,timestamp,label,confidence,x1,y1,x2,y2"]
    for k in range(14 * 24 * 3):
        time = FIRST + timedelta(minutes=20 * k)
        rows.append(
            f"{prefix}{k}.jpg,{time.isoformat()}Z,{'car' if k % 3 else 'van'},{0.3 + k % 60 / 100},10,20,110,80"
        )
    path.write_text("\n".join(rows) + "\n")


@pytest.fixture
def unknown(detmon: Shell) -> Shell:
    """A store with such a log of the models a and b."""
    for model in ("a", "b"):
        write_csv(detmon.folder / f"{model}.csv", model)
        detmon("ingest", f"{model}.csv", "--model", model)
    detmon.monkeypatch.setenv("DETMON_NOW", NOW)
    return detmon


@pytest.mark.parametrize("metric", PER_IMAGE)
def test_metrics_per_image_have_no_value(unknown: Shell, metric: str) -> None:
    unknown("baseline", "set", "--model", "a", "--period", WEEK)
    (point,) = unknown("metric", "show", metric, "--model", "a", "--window", "24h", "--json").json["points"]
    assert (point["value"], point["n"], point["reason"]) == (None, 72, "denominator_unknown")


@pytest.mark.parametrize("metric", ["avg_confidence", "detection_count", "low_confidence_rate"])
def test_other_metrics_have_theirs(unknown: Shell, metric: str) -> None:
    (point,) = unknown("metric", "show", metric, "--model", "a", "--window", "24h", "--json").json["points"]
    assert point["value"] is not None


def test_a_window_with_any_such_log_is_enough(unknown: Shell) -> None:
    record = {"model_id": "a", "timestamp": "2026-11-14T10:00:00Z", "image_id": "x", "detections": []}
    (unknown.folder / "log.jsonl").write_text(json.dumps(record) + "\n")
    unknown("ingest", "log.jsonl")
    shown = unknown("metric", "show", "no_detection_rate", "--model", "a", "--window", "24h", "--json").json
    assert shown["points"][0]["reason"] == "denominator_unknown"


@pytest.mark.parametrize("how", ["--complete", "--images"])
def test_who_says_what_was_seen_has_all_of_them(detmon: Shell, how: str) -> None:
    write_csv(detmon.folder / "a.csv")
    (detmon.folder / "seen.csv").write_text(
        "image_id,timestamp\n"
        + "".join(f"{k}.jpg,{(FIRST + timedelta(minutes=20 * k)).isoformat()}Z\n" for k in range(14 * 24 * 3))
        + "".join(f"empty{k}.jpg,2026-11-14T12:00:{k:02}Z\n" for k in range(24))
    )
    detmon("ingest", "a.csv", "--model", "a", *(["--complete"] if how == "--complete" else ["--images", "seen.csv"]))
    shown = detmon("--now", NOW, "metric", "show", "no_detection_rate", "--model", "a", "--window", "24h", "--json")
    assert shown.json["points"][0]["value"] == (0 if how == "--complete" else 0.25)


def test_alerts_on_them_are_no_data(unknown: Shell) -> None:
    for metric in ("prediction_count", "no_detection_rate"):
        rule = ("--metric", metric, "--operator", "ge", "--threshold", "0", "--window", "1d")
        made = unknown("alert", "create", metric, "--model", "a", *rule)
        assert "denominator_unknown" in made.err
    instances = unknown("alert", "check", "--json").json["instances"]
    assert {(one["state"], one["health_reason"], one["value"]) for one in instances} == {
        ("no_data", "denominator_unknown", None)
    }


def test_drift_leaves_counts_open(unknown: Shell) -> None:
    found = unknown("drift", "check", "--model", "a", "--reference", WEEK, "--current", NEXT, "--json").json
    assert (found["count_drift"], found["effects"]["no_detection_rate"]["change"]) == (None, None)
    assert found["class_drift"] is not None
    assert "denominator_unknown" in [warning["code"] for warning in found["warnings"]]


def test_ab_results_leave_objects_per_image_out(unknown: Shell) -> None:
    said = ("--traffic-split", "0.5", "--start", "2026-11-01T00:00:00Z", "--duration-days", "7")
    metrics = ("--metric", "confidence", "--metric", "detections_per_image")
    unknown("ab", "create", "t", "--model-a", "a", "--model-b", "b", *said, *metrics)
    found = unknown("ab", "results", "t", "--json").json
    assert found["model_a"]["detections_per_image"] is None
    assert found["effects"]["detections_per_image"]["reason"] == "images without detections are not in the log"
    assert found["effects"]["confidence"]["difference"] is not None


def test_the_engine_says_what_it_cannot_find(unknown: Shell) -> None:
    (unknown.folder / "engine.toml").write_text('[edge_cases]\nenabled = true\nconditions = ["no_detections"]\n')
    unknown("dataset", "create", "review")
    unknown("engine", "configure", "--model", "a", "--dataset", "review", "--file", "engine.toml")
    done = unknown("engine", "run", "--json")
    (warning,) = done.json["warnings"]
    assert (warning["code"], done.json["engines"][0]["unlisted"]) == ("denominator_unknown", 14 * 24 * 3)
    assert "`no_detections` finds nothing there" in warning["message"]
    assert warning["message"] in done.err
    assert unknown("engine", "run", "--json").json["warnings"] == []
    record = {"model_id": "a", "timestamp": "2026-11-14T10:00:00Z", "image_id": "x", "detections": []}
    (unknown.folder / "log.jsonl").write_text(json.dumps(record) + "\n")
    unknown("ingest", "log.jsonl")
    again = unknown("engine", "run", "--json").json
    assert (again["flagged"], again["warnings"]) == (1, [])


def test_a_gate_is_undecided(unknown: Shell) -> None:
    (unknown.folder / "detmon.toml").write_text(
        '[gate.g]\nmodel = "a"\nchecks = [{ check = "metric", metric = "no_detection_rate", operator = "lt", '
        'threshold = 0.9, period = "last 7d" }]\n'
    )
    found = unknown("gate", "g", "--format", "json", code=3)
    assert found.json["checks"][0]["status"] == "undecided"
    assert "denominator_unknown" in found.json["checks"][0]["message"]


# --- a log that is stored already ---


def value(detmon: Shell, metric: str = "no_detection_rate") -> tuple[float | None, int, str | None]:
    (point,) = detmon("metric", "show", metric, "--model", "a", "--window", "24h", "--json").json["points"]
    return point["value"], point["n"], point["reason"]


def test_a_stored_log_is_vouched_for(unknown: Shell) -> None:
    looked = unknown("ingest", "a.csv", "--model", "a", "--complete", "--dry-run", "--json").json
    assert looked["files"][0]["status"] == "taken"
    again = unknown("ingest", "a.csv", "--model", "a", "--complete", "--json").json
    assert (again["predictions"], again["duplicates"], again["files"][0]["status"]) == (0, 1008, "taken")
    assert value(unknown) == (0.0, 72, None)
    third = unknown("ingest", "a.csv", "--model", "a", "--complete", "--json").json
    assert third["files"][0]["status"] == "seen"
    assert unknown("ingest", "a.csv", "--model", "a", "--json").json["files"][0]["status"] == "seen"
    (other,) = unknown("metric", "show", "error_rate", "--model", "b", "--window", "24h", "--json").json["points"]
    assert other["reason"] == "denominator_unknown"
    assert not [one for one in unknown("doctor", "--full", "--json").json["findings"] if one["level"] == "error"]


def test_a_stored_log_gets_its_empty_images(unknown: Shell) -> None:
    listed = ["image_id,timestamp"]
    for k in range(14 * 24 * 6):
        name = f"a{k // 2}.jpg" if k % 2 == 0 else f"empty{k}.jpg"
        listed.append(f"{name},{(FIRST + timedelta(minutes=10 * k)).isoformat()}Z")
    (unknown.folder / "seen.csv").write_text("\n".join(listed) + "\n")
    again = unknown("ingest", "a.csv", "--model", "a", "--images", "seen.csv", "--json").json
    assert (again["predictions"], again["duplicates"]) == (1008, 1008)
    assert value(unknown) == (0.5, 144, None)
    assert not [one for one in unknown("doctor", "--full", "--json").json["findings"] if one["level"] == "error"]


def test_one_of_two_logs_in_a_batch_is_vouched_for(detmon: Shell) -> None:
    """Cells of logs that were written together are told apart again."""
    for name in ("one", "two"):
        write_csv(detmon.folder / f"{name}.csv", name)
    detmon("ingest", "one.csv", "two.csv", "--model", "a")
    detmon.monkeypatch.setenv("DETMON_NOW", NOW)
    detmon("ingest", "one.csv", "--model", "a", "--complete")
    assert value(detmon) == (None, 144, "denominator_unknown")
    detmon("ingest", "two.csv", "--model", "a", "--complete")
    assert value(detmon) == (0.0, 144, None)


def test_pruned_rows_stay_as_they_are(unknown: Shell) -> None:
    unknown("prune", "--older-than", "8d")
    again = unknown("ingest", "a.csv", "--model", "a", "--complete", "--json").json
    assert again["files"][0]["status"] == "seen"
