"""Metrics: exact values, and reasons where there is none; through the front door."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Shell
from stored import Row, at, store, text

HOUR = 3600


def show(detmon: Shell, metric: str, *options: object, code: int = 0, now: float = 0) -> Any:
    args = ("metric", "show", metric, "--model", "m", *options)
    return detmon("--now", text(now), *args, "--json", code=code).json


def value(detmon: Shell, metric: str, *options: object) -> Any:
    [point] = show(detmon, metric, *options)["points"]
    return point["value"] if point["reason"] is None else point["reason"]


def cars(n: int, **fields: Any) -> list[Row]:
    return [Row(at(-1 - number), boxes=[("car", 0.7)], latency=10.0 + number, **fields) for number in range(n)]


def test_values_are_exact(detmon: Shell) -> None:
    rows = [
        Row(at(-1 - n), latency=0.1 * (n % 10), boxes=[("car", 0.7), ("bus", 0.29), ("bus", None)] if n % 4 else [])
        for n in range(400)
    ]
    store(detmon.folder, [*rows, *(Row(at(-2), status="error", boxes=[("car", 0.1)]) for _ in range(100))])
    assert value(detmon, "avg_confidence") == 0.495
    assert value(detmon, "avg_confidence", "--where", "label=car") == 0.7
    assert value(detmon, "avg_latency_ms") == 0.45
    assert value(detmon, "p50_latency_ms") == pytest.approx(0.45, abs=1e-9)
    assert value(detmon, "prediction_count") == 400
    assert value(detmon, "detection_count") == 900
    assert value(detmon, "detection_count", "--where", "label=bus") == 600
    assert value(detmon, "detections_per_image") == 2.25
    assert value(detmon, "no_detection_rate") == 0.25
    assert value(detmon, "low_confidence_rate") == 0.5
    assert value(detmon, "low_confidence_rate", "--where", "label=bus") == 1.0
    assert value(detmon, "error_rate") == 0.2
    assert value(detmon, "data_age_seconds") == 1.0


def test_a_threshold_on_a_float_is_not_passed_by_rounding(detmon: Shell) -> None:
    """0.7 stored as FLOAT reads back as 0.69999999."""
    store(detmon.folder, cars(100))
    assert value(detmon, "avg_confidence") == 0.7


def test_share_of_a_class(detmon: Shell) -> None:
    store(
        detmon.folder,
        [
            *(Row(at(-1 - n), source="a", boxes=[("car", 0.9)] * 3 + [("bus", 0.9)]) for n in range(25)),
            *(Row(at(-HOUR - 1 - n), source="a", boxes=[("truck", 0.9)]) for n in range(100)),
        ],
    )
    points = show(detmon, "class_share", "--by", "label", "--window", "2h", "--every", "1h")["points"]
    found = [(p["start"], p["labels"]["label"], p["value"], p["n"]) for p in points]
    assert found == [
        (text(-2 * HOUR), "bus", 0.0, 100),
        (text(-2 * HOUR), "car", 0.0, 100),
        (text(-2 * HOUR), "truck", 1.0, 100),
        (text(-HOUR), "bus", 0.25, 100),
        (text(-HOUR), "car", 0.75, 100),
        (text(-HOUR), "truck", 0.0, 100),  # an expected label without a box: 0 of all boxes
    ]
    assert value(detmon, "class_share", "--where", "label=bus") == 0.25
    assert value(detmon, "class_share", "--where", "label=tram") == 0.0
    [point] = show(detmon, "class_share", "--where", "label=bus", "--by", "source", "--by", "label")["points"]
    assert (point["labels"], point["value"]) == ({"source": "a", "label": "bus"}, 0.25)


def test_new_classes(detmon: Shell) -> None:
    day = 24 * HOUR
    store(detmon.folder, [Row(at(-1), boxes=[("car", 0.9), ("bus", 0.9), ("tram", 0.9)])])
    assert value(detmon, "new_class_count") == 0  # nothing before: nothing is new
    store(
        detmon.folder,
        [
            Row(at(-40 * day), boxes=[("tram", 0.9)]),
            Row(at(-20 * day), boxes=[("car", 0.9)]),
            Row(at(-HOUR - 1), boxes=[("bus", 0.9)]),
        ],
    )
    assert value(detmon, "new_class_count") == 1  # the tram was last seen 40 days ago
    assert value(detmon, "new_class_count", "--window", "2h") == 2


def test_rejected_rate_is_of_the_store(detmon: Shell) -> None:
    store(detmon.folder, cars(10))
    [point] = show(detmon, "rejected_rate", now=1)["points"]
    assert (point["value"], point["n"]) == (0.05, 200)
    assert value(detmon, "rejected_rate") == "no_rows"  # the batches were loaded at the window's end, not in it


@pytest.mark.parametrize(
    ("rows", "metric", "reason"),
    [
        ([Row(at(-9 * HOUR))], "avg_confidence", "ingest_stalled"),
        ([Row(at(-1), model="other")], "avg_confidence", "model_silent"),
        ([Row(at(-1), model="other")], "data_age_seconds", "model_silent"),
        ([Row(at(-1))] * 40, "avg_confidence", "no_value"),
        ([Row(at(-1))] * 40, "p50_latency_ms", "no_value"),
        (cars(29), "avg_confidence", "insufficient_samples"),
        (cars(99), "p90_latency_ms", "insufficient_samples"),
        (cars(40, batch=2), "prediction_count", "denominator_unknown"),
        (cars(40, batch=2), "no_detection_rate", "denominator_unknown"),
        (cars(40, batch=2), "error_rate", "denominator_unknown"),
    ],
)
def test_no_value_without_a_reason(rows: list[Row], metric: str, reason: str, detmon: Shell) -> None:
    store(detmon.folder, [*rows, Row(at(-1), model="other")] if reason == "model_silent" else rows)
    if reason == "model_silent":
        detmon("model", "register", "m")
    assert value(detmon, metric) == reason


def test_an_unknown_denominator_does_not_hide_what_it_does_not_touch(detmon: Shell) -> None:
    store(detmon.folder, cars(40, batch=2))
    assert value(detmon, "avg_confidence") == 0.7
    assert value(detmon, "detection_count") == 40


def test_where_a_source_has_no_rows(detmon: Shell) -> None:
    store(detmon.folder, cars(40, source="a"))
    assert value(detmon, "avg_confidence", "--where", "source=b") == "no_rows"
    assert value(detmon, "prediction_count", "--where", "source=b") == 0


def test_rows_at_the_edges_of_windows(detmon: Shell) -> None:
    store(detmon.folder, [Row(at(ts)) for ts in (-HOUR, -1800, 0)])
    points = show(detmon, "prediction_count", "--every", "30m")["points"]
    assert [point["value"] for point in points] == [1, 1]  # a row at an edge belongs to the window that begins there
    points = show(detmon, "data_age_seconds", "--every", "30m")["points"]
    assert [point["value"] for point in points] == [1800, 1800]


def test_periods_are_days_of_the_model(detmon: Shell) -> None:
    detmon("model", "register", "m", "--zone", "Europe/Madrid")
    store(detmon.folder, [Row(at(-1.5 * HOUR)), Row(at(-0.5 * HOUR))])
    series = show(detmon, "prediction_count", "--period", "2024-03-04:2024-03-04", now=48 * HOUR)
    assert [(p["start"], p["value"]) for p in series["points"]] == [(text(-HOUR), 1)]
    assert (series["metric"], series["model_id"], series["unit"]) == ("prediction_count", "m", "images")


def test_a_metric_of_the_configuration(detmon: Shell) -> None:
    store(detmon.folder, cars(40))
    config = detmon.folder / "detmon.toml"
    config.write_text(
        '[metrics.car_share]\nsql = "avg(CASE WHEN label = \'car\' THEN 1.0 ELSE 0.0 END)"\nover = "detections"\n'
        'unit = "share"\nbad = "down"\nmin_samples = 30\n'
    )
    assert value(detmon, "car_share") == 1.0
    [listed] = [row for row in detmon("metric", "list", "--json").json if row["name"] == "car_share"]
    assert (listed["unit"], listed["bad"], listed["min_samples"]) == ("share", "down", 30)
    config.write_text('[metrics.broken]\nsql = "avg(nothing)"\nover = "predictions"\n')
    assert "nothing" in show_error(detmon, "broken")
    for text_, said in (
        ('[metrics.m]\nover = "predictions"\n', "needs sql"),
        ('[metrics.m]\nsql = "count(*)"\nover = "images"\n', 'over = "predictions"'),
        ('[metrics.error_rate]\nsql = "count(*)"\nover = "predictions"\n', "built in"),
        ('[metrics.m]\nsql = "count(*)"\nover = "predictions"\nbad = "left"\n', "bad = "),
        ('[metrics.m]\nsql = "count(*)"\nover = "predictions"\nmin_samples = -1\n', "min_samples = -1"),
    ):
        config.write_text(text_)
        assert said in detmon("metric", "list", code=2).err


def show_error(detmon: Shell, metric: str, *options: object) -> str:
    return detmon("--now", text(0), "metric", "show", metric, "--model", "m", *options, code=2).err


def test_what_is_refused(detmon: Shell) -> None:
    store(detmon.folder, cars(40))
    assert "did you mean 'avg_confidence'?" in show_error(detmon, "avg_confidens")
    assert "needs a label" in show_error(detmon, "class_share")
    assert "metric of images" in show_error(detmon, "p95_latency_ms", "--by", "label")
    assert "not both" in show_error(detmon, "error_rate", "--window", "1h", "--period", "last 7d")
    assert "points" in show_error(detmon, "error_rate", "--window", "7d", "--every", "1s")
    assert "at most three" in show_error(detmon, "error_rate", *("--by", "source") * 2)
