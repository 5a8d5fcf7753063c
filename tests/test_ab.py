"""A/B tests through the front door: what is compared, what is said, and when nobody wins."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Shell

from detmon.stats.buckets import bucket

START = datetime(2026, 3, 2, tzinfo=UTC)
Row = dict[str, Any]


def write(path: Path, rows: list[Row]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return path


def row(model: str, when: datetime, image: str, confidences: list[float], **more: Any) -> Row:
    boxes = [{"label": "car", "confidence": c, "bbox": [10 * n, 10, 8, 8]} for n, c in enumerate(confidences)]
    return {"model_id": model, "timestamp": when.isoformat(), "image_id": image, "detections": boxes, **more}


def traffic(
    days: int = 3,
    images: int = 120,
    *,
    split: float = 0.5,
    effect: float = 0.0,
    seed: int = 1,
    arm: Callable[[int, str], bool] | None = None,
) -> list[Row]:
    """A log of two models `m@1` (A) and `m@2` (B); `arm(number, source)` says whether B serves an image."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(days * images):
        when = START + timedelta(days=number // images, seconds=60 * (number % images))
        source = f"cam-{number % 8}"
        b = bool(rng.random() < split) if arm is None else arm(number, source)
        boxes = rng.poisson(3)
        confidences = np.clip(rng.beta(6, 2, boxes) - 0.1 * (number % 8) / 8 + effect * b, 0, 1).round(4).tolist()
        latency = round(float(np.exp(rng.normal(3, 0.3))), 2)
        rows.append(row("m@2" if b else "m@1", when, f"{number}.jpg", confidences, source=source, latency_ms=latency))
    return rows


def made(detmon: Shell, rows: list[Row], *options: object, name: str = "t") -> str:
    detmon("ingest", write(detmon.folder / "log.jsonl", rows))
    for model in ("m@1", "m@2"):
        detmon("model", "register", model)
    start = START.isoformat().replace("+00:00", "Z")
    said = ("ab", "create", name, "--model-a", "m@1", "--model-b", "m@2", "--start", start, *options)
    return detmon(*said).out.strip()


def results(detmon: Shell, day: float, name: str = "t") -> Any:
    now = (START + timedelta(days=day)).isoformat().replace("+00:00", "Z")
    return detmon("--now", now, "ab", "results", name, "--json").json


def expected(rows: list[Row], y: Callable[[Row], float], x: Callable[[Row], float], unit: str = "image_id") -> Any:
    """The difference of ratios, its standard error and degrees of freedom, from the rows alone."""
    found = []
    for model in ("m@1", "m@2"):
        sums: dict[str, list[float]] = {}
        for one in rows:
            if one["model_id"] == model:
                values = sums.setdefault(one[unit], [0.0, 0.0])
                values[0] += y(one)
                values[1] += x(one)
        ys, xs = np.array(list(sums.values())).T
        ratio, k = ys.sum() / xs.sum(), len(ys)
        found.append((ratio, ((ys - ratio * xs) ** 2).sum() / ((k - 1) * k * xs.mean() ** 2), k))
    (r_a, v_a, k_a), (r_b, v_b, k_b) = found
    df = (v_a + v_b) ** 2 / (v_a**2 / (k_a - 1) + v_b**2 / (k_b - 1))
    return r_b - r_a, np.sqrt(v_a + v_b), df


def confidence(one: Row) -> float:
    return sum(box["confidence"] for box in one["detections"])


def boxes(one: Row) -> float:
    return len(one["detections"])


# --- making, listing, stopping -------------------------------------------------------------------------------------


def test_the_call_of_the_api_works_as_written(detmon: Shell) -> None:
    from detmon import Client

    detmon("ingest", write(detmon.folder / "log.jsonl", traffic(1)))
    client = Client(now=START)
    config = {"traffic_split": 0.5, "metrics": ["confidence", "latency", "feedback_score"], "duration_days": 7}
    test = client.create_ab_test(name="v1 vs v2", model_a_id="m@1", model_b_id="m@2", config=config)
    assert test.id.startswith("ab_")
    assert (test.status, test.day, test.unit, test.mode) == ("running", 0, "image_id", "daily")
    found = client.get_ab_test_results(test.id)
    assert (found.winner, found.p_value, found.model_a.units) == (None, None, None)
    assert "no complete day yet" in found.verdict
    later = Client(now=START + timedelta(days=1)).get_ab_test_results("v1 vs v2")
    assert later["model_a"]["predictions"] + later["model_b"]["predictions"] == 120


def test_the_same_definition_is_the_same_test(detmon: Shell) -> None:
    first = made(detmon, traffic(1))
    assert made(detmon, traffic(1)) == first
    said = ("ab", "create", "t", "--model-a", "m@1", "--model-b", "m@2", "--traffic-split", "0.2")
    assert "another test 't'" in detmon(*said, code=2).err
    (listed,) = detmon("ab", "list", "--json").json
    assert (listed["id"], listed["metrics"]) == (first, ["confidence", "latency", "feedback_score"])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--model-b", "m@3"), "unknown model 'm@3'"),
        (("--model-b", "m@1"), "a test compares two"),
        (("--model-b", "m@2", "--traffic-split", "1"), "between 0 and 1"),
        (("--model-b", "m@2", "--duration-days", "0"), "whole days"),
        (("--model-b", "m@2", "--metric", "latancy"), "did you mean 'latency'?"),
        (("--model-b", "m@2", "--metric", "latency", "--metric", "avg_latency_ms"), "name each once"),
        (("--model-b", "m@2", "--mode", "dayly"), "did you mean 'daily'?"),
        (("--model-b", "m@2", "--unit", "tag:"), "unknown unit"),
        (("--model-b", "m@2", "--start", "soon"), "is not a time"),
        (("--model-b", "m@2", "--unit", "camera"), "unknown unit"),
    ],
)
def test_what_cannot_be_tested_is_refused(detmon: Shell, options: tuple[str, ...], says: str) -> None:
    detmon("ingest", write(detmon.folder / "log.jsonl", traffic(1)))
    assert says in detmon("ab", "create", "t", "--model-a", "m@1", *options, code=2).err
    assert detmon("ab", "list", "--json").json == []


@pytest.mark.parametrize(
    "config", [{"metrics": 5}, {"unit": 5}, {"mode": 5}, {"duration_days": "7"}, {"metrics": [None]}]
)
def test_a_config_of_other_types_is_refused(detmon: Shell, config: dict[str, Any]) -> None:
    from detmon import Client
    from detmon.errors import DetmonError

    detmon("ingest", write(detmon.folder / "log.jsonl", traffic(1)))
    with pytest.raises(DetmonError):
        Client().create_ab_test("t", "m@1", "m@2", config)


def test_an_unknown_test_names_the_nearest(detmon: Shell) -> None:
    made(detmon, traffic(1), name="night shift")
    for verb in (("results",), ("stop",), ("promote",), ("assign",)):
        arguments = ("x",) if verb == ("assign",) else ()
        assert "did you mean 'night shift'?" in detmon("ab", *verb, "night shfit", *arguments, code=2).err


def test_what_is_stopped_keeps_its_complete_days(detmon: Shell) -> None:
    made(detmon, traffic(3))
    now = (START + timedelta(days=2, hours=5)).isoformat().replace("+00:00", "Z")
    assert detmon("--now", now, "ab", "stop", "t").out == "t: stopped on day 2 of 7\n"
    found = results(detmon, 3)
    assert (found["status"], found["day"], found["model_a"]["predictions"] + found["model_b"]["predictions"]) == (
        "stopped",
        2,
        240,
    )


# --- numbers -------------------------------------------------------------------------------------------------------


def test_each_image_is_a_unit(detmon: Shell) -> None:
    rows = traffic(3)
    made(detmon, rows, "--traffic-split", "0.5", "--mode", "fixed", "--duration-days", "3")
    found = results(detmon, 3)
    difference, se, df = expected(rows, confidence, boxes)
    from scipy import stats

    assert found["unit"] == "image_id"
    assert found["effects"]["confidence"]["difference"] == pytest.approx(difference, rel=1e-6)
    half = (found["effects"]["confidence"]["high"] - found["effects"]["confidence"]["low"]) / 2
    assert half == pytest.approx(stats.t.isf(0.025, df) * se, rel=1e-4)
    assert found["p_value"] == pytest.approx(2 * stats.t.sf(abs(difference) / se, df), rel=1e-4)
    arm = [one for one in rows if one["model_id"] == "m@1"]
    assert found["model_a"]["avg_confidence"] == pytest.approx(sum(map(confidence, arm)) / sum(map(boxes, arm)))
    latencies = sorted(one["latency_ms"] for one in arm)
    assert found["model_a"]["avg_latency_ms"] == pytest.approx(np.mean(latencies))
    assert found["model_a"]["p95_latency_ms"] == pytest.approx(latencies[int(np.ceil(0.95 * len(arm))) - 1], rel=0.011)


def test_each_camera_is_a_unit(detmon: Shell) -> None:
    rows = traffic(3, arm=lambda number, _: number % 2 == 0)
    rows = [one | {"model_id": "m@2" if int(one["source"][-1]) >= 4 else "m@1"} for one in rows]
    more = traffic(3, seed=2)
    rows += [
        one | {"model_id": "m@2" if n % 2 else "m@1", "source": f"cam-{8 + n % 6}", "image_id": f"x{n}"}
        for n, one in enumerate(more)
    ]
    options = ("--traffic-split", "0.5", "--mode", "fixed", "--duration-days", "3", "--unit", "source")
    made(detmon, rows, *options, "--metric", "detections_per_image")
    found = results(detmon, 3)
    difference, _, _ = expected(rows, boxes, lambda _: 1.0, "source")
    assert found["unit"] == "source"
    assert found["effects"]["detections_per_image"]["difference"] == pytest.approx(difference, rel=1e-6)


def test_routed_by_camera_is_found_out(detmon: Shell) -> None:
    rows = traffic(3, arm=lambda _, source: int(source[-1]) >= 4)
    made(detmon, rows, "--traffic-split", "0.5", "--duration-days", "3", "--metric", "confidence")
    found = results(detmon, 3)
    difference, se, _ = expected(rows, confidence, boxes, "source")
    assert found["unit"] == "source"
    assert found["model_a"]["units"] == 4
    assert "unit_is_source" in codes(found)
    assert "no verdict" in found["verdict"]
    assert "6 needed" in found["verdict"]
    assert found["effects"]["confidence"]["difference"] == pytest.approx(difference, rel=1e-6)
    assert se > 0


def test_units_in_both_arms_are_left_out(detmon: Shell) -> None:
    rows = traffic(3)
    twice = [one | {"model_id": "m@2" if one["model_id"] == "m@1" else "m@1"} for one in rows[:40]]
    made(detmon, rows + twice, "--traffic-split", "0.5", "--duration-days", "3", "--metric", "confidence")
    found = results(detmon, 3)
    alone = rows[40:]
    difference, _, _ = expected(alone, confidence, boxes)
    assert found["effects"]["confidence"]["difference"] == pytest.approx(difference, rel=1e-6)
    assert "not_sticky" in codes(found)
    assert "served by both models" in found["verdict"]


def test_days_with_one_arm_are_left_out(detmon: Shell) -> None:
    rows = [one for one in traffic(4, split=0.5) if not (one["model_id"] == "m@2" and one["timestamp"] < "2026-03-03")]
    made(detmon, rows, "--traffic-split", "0.5", "--duration-days", "4", "--metric", "confidence")
    found = results(detmon, 4)
    difference, _, _ = expected([one for one in rows if one["timestamp"] >= "2026-03-03"], confidence, boxes)
    assert "not_concurrent" in codes(found)
    assert found["effects"]["confidence"]["difference"] == pytest.approx(difference, rel=1e-6)
    before_after = [one | {"model_id": "m@1" if one["timestamp"] < "2026-03-04" else "m@2"} for one in rows]
    detmon("--db", "other.duckdb", "ingest", write(detmon.folder / "other.jsonl", before_after))
    start = ("--start", "2026-03-02T00:00Z", "--duration-days", "4")
    detmon("--db", "other.duckdb", "ab", "create", "t", "--model-a", "m@1", "--model-b", "m@2", *start)
    found = detmon("--db", "other.duckdb", "--now", "2026-03-06T00:00Z", "ab", "results", "t", "--json").json
    assert found["winner"] is None
    assert "days have traffic in one arm only" in found["verdict"]


def test_a_left_out_day_is_out_altogether(detmon: Shell) -> None:
    """On the first day A served everything; from then on each camera has one model, and reviews count."""
    rows = traffic(4, arm=lambda number, source: number >= 120 and int(source[-1]) >= 4)
    made(detmon, rows, "--traffic-split", "0.5", "--duration-days", "4", "--metric", "confidence")
    verdicts = [f"{prediction},0,correct" for prediction, n in identified(detmon) if n]
    (detmon.folder / "verdicts.csv").write_text("\n".join(["prediction_id,detection_index,type", *verdicts]) + "\n")
    detmon("feedback", "import", detmon.folder / "verdicts.csv")
    found = results(detmon, 4)
    later = [one for one in rows if one["timestamp"] >= "2026-03-03"]
    assert (found["unit"], found["model_a"]["units"], found["model_b"]["units"]) == ("source", 4, 4)
    assert not {"not_sticky", "stray_units"} & codes(found)
    assert found["model_a"]["predictions"] == sum(one["model_id"] == "m@1" for one in later)
    reviewed = sum(one["model_id"] == "m@1" and len(one["detections"]) == 1 for one in later)
    assert found["model_a"]["reviewed"] == reviewed


def identified(detmon: Shell) -> list[tuple[str, int]]:
    rows = detmon("sql", "SELECT prediction_id, n_detections FROM predictions", "--json").json
    return [(one["prediction_id"], one["n_detections"]) for one in rows]


def test_cameras_that_number_their_images_alike_are_no_shadow(detmon: Shell) -> None:
    rows = traffic(3, arm=lambda _, source: int(source[-1]) >= 4)
    rows = [one | {"image_id": f"{n // 8}.jpg"} for n, one in enumerate(rows)]
    made(detmon, rows, "--traffic-split", "0.5", "--duration-days", "3", "--metric", "confidence")
    found = results(detmon, 3)
    assert (found["shadow"], found["unit"]) == (False, "source")


def test_without_images_without_boxes_rates_per_image_are_unknown(detmon: Shell) -> None:
    header = "prediction_id,model_id,timestamp,image_id,label,confidence,x,y,w,h"
    lines = [
        f"{n},{one['model_id']},{one['timestamp']},{one['image_id']},car,{box['confidence']},1,1,8,8"
        for n, one in enumerate(traffic(2))
        for box in one["detections"]
    ]
    (detmon.folder / "log.csv").write_text("\n".join([header, *lines]) + "\n")
    detmon("ingest", "log.csv", "--box-format", "xywh")
    start = ("--start", "2026-03-02T00:00Z", "--duration-days", "2", "--traffic-split", "0.5")
    metrics = ("--metric", "detections_per_image", "--metric", "no_detection_rate", "--metric", "confidence")
    detmon("ab", "create", "t", "--model-a", "m@1", "--model-b", "m@2", *start, *metrics)
    found = results(detmon, 2)
    assert [found["p_values"][metric] for metric in metrics[1:4:2]] == [None, None]
    assert "not in the log" in found["effects"]["no_detection_rate"]["reason"]
    assert found["p_values"]["confidence"] is not None
    assert found["model_a"]["detections_per_image"] is None
    assert found["guardrails"] == []


def test_a_wrong_split_withholds_the_verdict(detmon: Shell) -> None:
    made(detmon, traffic(3, split=0.5), "--traffic-split", "0.1", "--duration-days", "3", "--metric", "confidence")
    found = results(detmon, 3)
    assert (found["srm"]["ok"], found["winner"]) == (False, None)
    assert found["srm"]["p_value"] < 1e-3
    assert "--traffic-split" in found["verdict"]
    assert found["effects"]["confidence"]["difference"] is not None


def test_asking_often_changes_nothing_and_the_end_is_the_end(detmon: Shell) -> None:
    made(detmon, traffic(9, effect=0.1), "--traffic-split", "0.5")
    first, again = results(detmon, 7), results(detmon, 8.5)
    assert [again.pop(key) for key in ("later",)] != [first.pop(key) for key in ("later",)]
    assert first == again
    assert first["status"] == "finished"
    found = [results(detmon, day)["p_value"] for day in range(1, 8)]
    assert all(later <= earlier * 1.01 for earlier, later in pairwise(found))
    assert [look["day"] for look in first["looks"]] == list(range(1, 8))
    assert [round(look["boundary"], 2) for look in first["looks"]][-1] == pytest.approx(2.06, abs=0.03)


def test_confidence_alone_never_wins(detmon: Shell) -> None:
    made(detmon, traffic(7, effect=0.2), "--traffic-split", "0.5")
    found = results(detmon, 7)
    assert found["p_value"] < 1e-6
    assert found["winner"] is None
    assert "B has higher confidence: that is not quality" in found["verdict"]
    assert "confidence_is_descriptive" in codes(found)
    assert "confidence_scale_differs" in codes(found)


def test_modes(detmon: Shell) -> None:
    made(detmon, traffic(4, 240, effect=0.1), "--traffic-split", "0.5", "--mode", "fixed", "--duration-days", "4")
    assert results(detmon, 3)["verdict"] == "not yet (day 3 of 4)"
    assert results(detmon, 3)["p_value"] is None
    assert results(detmon, 4)["p_value"] < 0.05
    start = ("--start", "2026-03-02T00:00Z", "--traffic-split", "0.5", "--mode", "always")
    detmon("ab", "create", "always", "--model-a", "m@1", "--model-b", "m@2", *start)
    some = [results(detmon, day, "always") for day in (1, 1.3, 2, 3, 30)]
    assert [one["p_value"] for one in some] == sorted((one["p_value"] for one in some), reverse=True)
    assert some[-1]["p_value"] < 0.05
    assert [(one["day"], one["status"]) for one in some][-1] == (30, "running")
    assert 1 < some[1]["looks"][-1]["day"] < 1.3
    assert some[1]["looks"][0]["day"] > 100 / (240 / 2) / 24 * 4


def test_one_look_at_the_end_is_taken_though_nothing_came_lately(detmon: Shell) -> None:
    made(detmon, traffic(3, effect=0.1), "--traffic-split", "0.5", "--mode", "fixed", "--duration-days", "5")
    assert results(detmon, 5)["p_value"] < 0.05
    assert detmon("--now", "2026-03-05T00:00Z", "ab", "stop", "t").out == "t: stopped on day 3 of 5\n"
    assert results(detmon, 5)["verdict"] == "stopped too early (day 3 of 5)"


def test_what_is_stopped_on_its_first_day_says_so(detmon: Shell) -> None:
    made(detmon, traffic(1))
    detmon("--now", "2026-03-02T05:00Z", "ab", "stop", "t")
    assert results(detmon, 3)["verdict"] == "no verdict: stopped before the first day was complete"


def test_floors_that_differ_are_made_equal(detmon: Shell) -> None:
    rows = traffic(3)
    for one in rows:
        floor = 0.5 if one["model_id"] == "m@2" else 0.0
        one["confidence_floor"] = floor
        one["detections"] = [box for box in one["detections"] if box["confidence"] >= floor]
    made(detmon, rows, "--traffic-split", "0.5", "--mode", "fixed", "--duration-days", "3", "--metric", "confidence")
    found = results(detmon, 3)
    assert "confidence_floor_differs" in codes(found)
    cut = [one | {"detections": [box for box in one["detections"] if box["confidence"] >= 0.5]} for one in rows]
    difference, _, _ = expected(cut, confidence, boxes)
    assert found["effects"]["confidence"]["difference"] == pytest.approx(difference, rel=1e-6)


def test_a_floor_that_no_log_names_is_seen_but_vouches_for_nothing(detmon: Shell) -> None:
    """B drops the boxes below 0.5: that looks like a logger that does, and must not make it look as good as A."""
    alike = traffic(3, 1200)
    made(detmon, alike, "--traffic-split", "0.5", "--duration-days", "3")
    assert "confidence_floor_differs" not in codes(results(detmon, 3))
    rows = []
    for one in alike:
        kept = [box for box in one["detections"] if box["confidence"] >= 0.5 or one["model_id"] == "m@1"]
        rows.append(one | {"detections": kept})
    detmon("--db", "other.duckdb", "ingest", write(detmon.folder / "other.jsonl", rows))
    start = ("--start", "2026-03-02T00:00Z", "--duration-days", "3", "--traffic-split", "0.5")
    detmon("--db", "other.duckdb", "ab", "create", "t", "--model-a", "m@1", "--model-b", "m@2", *start)
    found = detmon("--db", "other.duckdb", "--now", "2026-03-05T00:00Z", "ab", "results", "t", "--json").json
    assert "confidence_floor_differs" in codes(found)
    assert found["guardrails"][0]["metric"] == "detections_per_image"
    assert found["guardrails"][0]["status"] == "unclear"


def test_a_tail_needs_predictions(detmon: Shell) -> None:
    options = (
        "--traffic-split",
        "0.5",
        "--duration-days",
        "3",
        "--metric",
        "p99_latency_ms",
        "--metric",
        "p50_latency_ms",
    )
    made(detmon, traffic(3), *options)
    found = results(detmon, 3)
    assert found["p_values"]["p99_latency_ms"] is None
    assert found["effects"]["p99_latency_ms"]["reason"] == "not enough tail"
    assert found["p_values"]["p50_latency_ms"] is not None


def test_images_that_both_saw_are_compared_with_themselves(detmon: Shell) -> None:
    rng = np.random.default_rng(3)
    rows = []
    for one in traffic(3, arm=lambda *_: False):
        rows.append(one)
        if rng.random() < 0.3:  # a shadow on some of the images; the others are no images without a box
            shifted = [box | {"confidence": min(1.0, box["confidence"] + 0.02)} for box in one["detections"]]
            rows.append(one | {"model_id": "m@2", "detections": shifted})
    made(detmon, rows, "--duration-days", "3", "--metric", "confidence", "--metric", "detections_per_image")
    found = results(detmon, 3)
    assert (found["shadow"], found["agreement"], found["srm"]) == (True, 1.0, {"p_value": None, "ok": True})
    assert found["effects"]["detections_per_image"]["difference"] == pytest.approx(0, abs=1e-9)
    assert found["effects"]["confidence"]["method"] == "paired"
    assert found["effects"]["confidence"]["difference"] == pytest.approx(0.02, abs=2e-3)
    assert found["p_value"] < 1e-6
    assert found["winner"] is None


def test_unknown_units_are_counted(detmon: Shell) -> None:
    rows = [one | {"tags": {"visit": str(n // 3)}} for n, one in enumerate(traffic(3, arm=lambda n, _: n // 3 % 2 > 0))]
    for one in rows[:9]:
        del one["tags"]
    options = ("--traffic-split", "0.5", "--duration-days", "3", "--unit", "tag:visit", "--metric", "confidence")
    made(detmon, rows, *options)
    found = results(detmon, 3)
    assert found["model_a"]["units"] + found["model_b"]["units"] == 117
    assert "rows_without_unit" in codes(found)


def test_what_a_camera_was_before_is_taken_out(detmon: Shell) -> None:
    before = [
        one | {"timestamp": (START - timedelta(days=3) + timedelta(minutes=n)).isoformat(), "image_id": f"b{n}"}
        for n, one in enumerate(traffic(3, seed=9, arm=lambda *_: False))
    ]
    rows = [one | {"source": f"cam-{n % 16}"} for n, one in enumerate(traffic(3))]
    rows = [one | {"model_id": "m@2" if int(one["source"][4:]) % 2 else "m@1"} for one in rows]
    before = [one | {"source": f"cam-{n % 16}"} for n, one in enumerate(before)]
    made(detmon, before + rows, "--traffic-split", "0.5", "--duration-days", "3", "--metric", "confidence")
    found = results(detmon, 3)
    assert (found["unit"], found["effects"]["confidence"]["method"]) == ("source", "ancova")


def test_no_traffic_of_one_arm(detmon: Shell) -> None:
    made(detmon, [one for one in traffic(2) if one["model_id"] == "m@1"])
    found = results(detmon, 2)
    assert found["verdict"] == "no winner: m@2 has no prediction in the test's time"
    assert found["winner"] is None


# --- assigning, planning, promoting --------------------------------------------------------------------------------


def test_assignment_is_the_published_hash(detmon: Shell) -> None:
    test = made(detmon, traffic(1), "--traffic-split", "0.3")
    units = [f"unit-{n}" for n in range(2000)]
    streamed = detmon("ab", "assign", "t", "-", stdin="\n".join(units) + "\n").out.splitlines()
    arms = [line.split("\t") for line in streamed]
    assert [one[0] for one in arms] == units
    assert [one[1] for one in arms] == ["b" if bucket(test, unit) < 0.3 else "a" for unit in units]
    assert {one[2] for one in arms if one[1] == "b"} == {"m@2"}
    assert 0.26 < sum(one[1] == "b" for one in arms) / 2000 < 0.34
    assert detmon("ab", "assign", "t", "unit-0", "--json").json == [
        {"unit": "unit-0", "arm": arms[0][1], "model_id": arms[0][2]}
    ]
    as_csv = detmon("ab", "assign", "t", "-", "--format", "csv", stdin="a\nb\n").out.splitlines()
    assert as_csv[0] == "unit,arm,model_id"


def test_units_that_went_elsewhere_are_told(detmon: Shell) -> None:
    made(detmon, traffic(2), "--traffic-split", "0.5", "--metric", "confidence")
    assert "misrouted" not in codes(results(detmon, 2))
    detmon("ab", "assign", "t", "0.jpg")
    assert "misrouted" in codes(results(detmon, 2))


def test_a_plan_says_how_long(detmon: Shell) -> None:
    rows = traffic(3, arm=lambda *_: False)
    detmon("ingest", write(detmon.folder / "log.jsonl", rows))
    now = (START + timedelta(days=3)).isoformat().replace("+00:00", "Z")
    plan = detmon("--now", now, "ab", "plan", "--model", "m@1", "--metric", "detections_per_image", "--json").json
    counts = np.array([boxes(one) for one in rows])
    spread = counts.std(ddof=1) / counts.mean()
    (two, half, *_) = plan["effects"]
    n_b = (1 + 1 / 9) * (1.959964 + 0.841621) ** 2 * (spread / 0.02) ** 2 * 1.03
    assert two["units_b"] == pytest.approx(n_b, rel=1e-3)
    assert (half["traffic_split"], half["units_a"]) == (0.5, half["units_b"])
    assert any("shadow" in one for one in plan["advice"])
    assert detmon("--now", now, "ab", "plan", "--model", "m@1", "--metric", "feedback_score", code=2)
    empty = detmon("--now", "2027-01-01T00:00Z", "ab", "plan", "--model", "m@1", "--json").json
    assert (empty["effects"], empty["reason"][:15]) == ([], "not enough data")


def test_promotion_needs_a_winner(detmon: Shell) -> None:
    made(detmon, traffic(2), "--traffic-split", "0.5")
    now = ("--now", "2026-03-09T00:00Z")
    refused = detmon(*now, "ab", "promote", "t", code=2)
    assert "no winner" in refused.err
    assert "--force" in refused.err
    assert detmon(*now, "ab", "promote", "t", "--force").out == "m@2 is champion\n"
    assert detmon("model", "show", "champion", "--json").json["id"] == "m@2"


def test_the_report_reads_well(detmon: Shell) -> None:
    made(detmon, traffic(7, effect=0.1), "--traffic-split", "0.5")
    shown = detmon("--now", "2026-03-09T00:00Z", "ab", "results", "t").out
    assert shown.startswith("t: m@1 (A) against m@2 (B), day 7 of 7, by image_id\n")
    for part in ("The arms", "B minus A", "Day by day: confidence", "beyond", "What must not get worse"):
        assert part in shown
    written = detmon("--now", "2026-03-09T00:00Z", "ab", "results", "t", "--format", "markdown").out
    assert "| confidence |" in written
    assert "<table>" in detmon("--now", "2026-03-09T00:00Z", "ab", "results", "t", "--format", "html").out


def codes(found: Any) -> set[str]:
    return {one["code"] for one in found["warnings"]}
