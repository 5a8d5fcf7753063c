"""The distances from the baseline as metrics: for `metric show` and alerts."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

import duckdb
import pytest
from conftest import Shell
from scipy.spatial.distance import jensenshannon
from test_ab import row, write

from detmon.times import parse_instant

BASELINE = "2026-03-01:2026-03-02"
START = parse_instant("2026-03-01")


def logged(detmon: Shell) -> None:
    """Two days of 120 images, and one on which labels, confidences and numbers of boxes are others."""
    rows = []
    for n in range(360):
        when = START.replace(tzinfo=UTC) + timedelta(minutes=12 * n)
        later = n >= 240
        confidences = [0.525] * (1 if later else 2) if n % 3 else [0.925] * (3 if later else 2)
        one = row("m", when, f"{n}.jpg", confidences)
        if later:
            one["detections"][0]["label"] = "truck"
        rows.append(one)
    detmon("ingest", write(detmon.folder / "log.jsonl", rows))


def show(detmon: Shell, metric: str, period: str = "2026-03-03:2026-03-03") -> dict[str, Any]:
    series = detmon("metric", "show", metric, "--model", "m", "--period", period, "--json")
    (point,) = series.json["points"]
    return dict(point)


@pytest.mark.parametrize(
    ("metric", "reference", "current", "n"),
    [
        ("class_drift", [480, 0], [80, 120], 200),
        ("confidence_drift", [320, 160], [80, 120], 200),
        ("count_drift", [0, 240, 0], [80, 0, 40], 120),
    ],
)
def test_the_distance_of_a_day(detmon: Shell, metric: str, reference: list[int], current: list[int], n: int) -> None:
    logged(detmon)
    assert show(detmon, metric)["reason"] == "no_baseline"
    detmon("baseline", "set", "--model", "m", "--period", BASELINE)
    found = show(detmon, metric)
    assert (found["n"], found["reason"]) == (n, None)
    assert found["value"] == pytest.approx(float(jensenshannon(reference, current, base=2)), abs=1e-9)
    (report,) = [detmon("drift", "check", "--current", "2026-03-03:2026-03-03", "--json").json]
    assert found["value"] == pytest.approx(report[metric], abs=1e-9)


def test_too_few_boxes_are_no_number(detmon: Shell) -> None:
    logged(detmon)
    detmon("baseline", "set", "--model", "m", "--period", BASELINE)
    short = detmon(
        "metric", "show", "class_drift", "--model", "m", "--period", "2026-03-03T00:00Z/2026-03-03T06:00Z", "--json"
    )
    (point,) = short.json["points"]
    assert (point["value"], point["reason"]) == (None, "insufficient_samples")


def test_counts_need_every_image(detmon: Shell) -> None:
    logged(detmon)
    detmon("baseline", "set", "--model", "m", "--period", BASELINE)
    with duckdb.connect(str(detmon.folder / "detmon.duckdb")) as con:
        con.execute("UPDATE batches SET denominator = 'unknown'")
    assert show(detmon, "count_drift")["reason"] == "denominator_unknown"
    assert show(detmon, "class_drift")["value"] is not None


def test_they_are_of_all_rows(detmon: Shell) -> None:
    logged(detmon)
    failed = detmon("metric", "show", "class_drift", "--model", "m", "--by", "source", code=2)
    assert "drift check --by source" in failed.err


def test_an_alert_watches_one(detmon: Shell) -> None:
    logged(detmon)
    detmon("baseline", "set", "--model", "m", "--period", BASELINE)
    rule = ("--metric", "class_drift", "--operator", "gt", "--threshold", "0.3", "--window", "24h", "--every", "1h")
    detmon("alert", "create", "Mix", "--model", "m", *rule)
    check = detmon("--now", "2026-03-03T23:00Z", "alert", "check", "--json").json
    assert [(one["alert"], one["state"]) for one in check["instances"]] == [("Mix", "firing")]
