"""A/B tests against sums written out plainly: random small logs with all that real ones hold."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Shell
from scipy import stats
from test_ab import START, row, write

from detmon import Client

DAYS = 3
RATIOS = ("confidence", "detections_per_image", "no_detection_rate", "low_confidence_rate", "error_rate")
METRICS = (*RATIOS, "latency", "p50_latency_ms")
SHAPES = ("image", "image twice", "source", "visit", "shadow", "shadow by visit")
Row = dict[str, Any]


def log(seed: int, shape: str) -> list[Row]:
    """Rows in the order of time; every tenth failed, every fifth has no latency, a unit is in one arm as a whole."""
    rng = np.random.default_rng(seed)
    sources, visits = rng.random(16) < 0.5, rng.random(60) < 0.5
    rows = []
    for number in range(DAYS * 100):
        when = START + timedelta(days=number // 100, seconds=60 * (number % 100))
        source, visit = number % 16, number // 5
        b = {"source": sources[source], "visit": visits[visit]}.get(shape, rng.random() < 0.5)
        models = ("m@1", "m@2") if shape.startswith("shadow") and (b or rng.random() < 0.5) else (f"m@{1 + b}",)
        for model in models:
            for _ in range(2 if "twice" in shape and rng.random() < 0.2 else 1):
                when += timedelta(seconds=1)
                rows.append(one(rng, model, when, number, source, visit))
    return rows


def one(rng: np.random.Generator, model: str, when: Any, number: int, source: int, visit: int) -> Row:
    confidences = rng.beta(4, 2, rng.poisson(2)).round(4).tolist()
    more: Row = {"source": f"cam-{source}", "tags": {"visit": f"v{visit}"}}
    if rng.random() < 0.1:
        more |= {"status": "error"}
        confidences = []
    if rng.random() < 0.8:
        more |= {"latency_ms": round(float(np.exp(rng.normal(3, 0.5))), 2)}
    return row(model, when, f"{number}.jpg", confidences, **more)


# --- the answer, written out ---------------------------------------------------------------------------------------


def bucket(latency: float) -> int:
    return math.ceil(math.log(max(latency, 0.001)) / math.log(1.02))


def edge(rows: Iterable[Row], q: float) -> tuple[int, float]:
    """The bucket of the pooled quantile, and its upper edge in ms."""
    buckets = sorted(bucket(one["latency_ms"]) for one in rows if counted(one))
    found = buckets[math.ceil(q * len(buckets) - 1e-9) - 1]
    return found, math.floor(1.02**found * 1e3) / 1e3


def counted(one: Row) -> bool:
    return "latency_ms" in one and "status" not in one


def y_and_x(metric: str, one: Row, clip: tuple[int, float]) -> tuple[float, float]:
    ok = "status" not in one
    confidences = [box["confidence"] for box in one["detections"]]
    if metric not in RATIOS:
        if not counted(one):
            return 0.0, 0.0
        if metric == "p50_latency_ms":
            return bucket(one["latency_ms"]) > clip[0], 1.0
        return (one["latency_ms"] if bucket(one["latency_ms"]) <= clip[0] else clip[1]), 1.0
    return {
        "confidence": (sum(confidences), len(confidences)),
        "detections_per_image": (len(confidences), ok),
        "no_detection_rate": (ok and not confidences, ok),
        "low_confidence_rate": (sum(c < 0.5 for c in confidences), len(confidences)),
        "error_rate": (not ok, 1),
    }[metric]


def of_units(rows: list[Row], metric: str, unit: str, clip: tuple[int, float]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for one in rows:
        name = one["tags"]["visit"] if unit == "tag:visit" else one[unit]
        if metric in RATIOS or counted(one):
            found[name] = found.get(name, np.zeros(2)) + y_and_x(metric, one, clip)
    return found


def expected(rows: list[Row], metric: str, unit: str, shadow: bool) -> tuple[float, float, float]:
    """The difference, its standard error and degrees of freedom."""
    if shadow:
        both = {one["image_id"] for one in rows if one["model_id"] == "m@2"}
        rows = [one for one in rows if one["image_id"] in both]
    clip = edge(rows, 0.5 if metric == "p50_latency_ms" else 0.995)
    a, b = (of_units([one for one in rows if one["model_id"] == f"m@{n}"], metric, unit, clip) for n in (1, 2))
    if shadow:
        names = sorted({*a, *b})
        sides = [np.array([side.get(name, np.zeros(2)) for name in names]).T for side in (a, b)]
        errors = [(y - y.sum() / x.sum() * x) / x.mean() for y, x in sides]
        ratios = [y.sum() / x.sum() for y, x in sides]
        k = len(names)
        return ratios[1] - ratios[0], float(np.std(errors[1] - errors[0], ddof=1)) / math.sqrt(k), k - 1
    ratios, variances, sizes = [], [], []
    for side in (a, b):
        y, x = np.array(list(side.values())).T
        ratio, k = y.sum() / x.sum(), len(y)
        ratios.append(ratio)
        variances.append(((y - ratio * x) ** 2).sum() / ((k - 1) * k * x.mean() ** 2))
        sizes.append(k)
    df = sum(variances) ** 2 / sum(v**2 / (k - 1) for v, k in zip(variances, sizes, strict=True))
    return ratios[1] - ratios[0], math.sqrt(sum(variances)), df


# --- tests ---------------------------------------------------------------------------------------------------------


def answer(folder: Path, name: str, parts: list[list[Row]], unit: str) -> Any:
    now = START + timedelta(days=DAYS)
    client = Client(db=folder / f"{name}.duckdb", now=now)
    for number, part in enumerate(parts):
        client.ingest(write(folder / f"{name}-{number}.jsonl", part))
    config = {"traffic_split": 0.5, "metrics": METRICS, "duration_days": DAYS, "mode": "fixed", "unit": unit}
    test = client.create_ab_test("t", "m@1", "m@2", config, start=START)
    found = client.get_ab_test_results(test.id).to_dict()
    del found["id"]
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_the_numbers_are_those_of_the_formulas(detmon: Shell, shape: str) -> None:
    seed = SHAPES.index(shape)
    rows = log(seed, shape)
    unit = "source" if shape == "source" else "tag:visit" if "visit" in shape else "image_id"
    found = answer(detmon.folder, "whole", [rows], unit)
    shadow = shape.startswith("shadow")
    assert (found["shadow"], found["unit"]) == (shadow, unit)
    for metric in METRICS:
        difference, se, df = expected(rows, metric, unit, shadow)
        effect = found["effects"][metric]
        half = (effect["high"] - effect["low"]) / 2
        assert effect["difference"] == pytest.approx(difference, rel=1e-6, abs=1e-9), metric
        if effect["method"] == "exceedance":  # shares of independent rows, without the arms' k - 1
            assert half == pytest.approx(1.96 * se, rel=0.01), metric
            continue
        assert half == pytest.approx(stats.t.isf(0.025, df) * se, rel=1e-6), metric
    primary = expected(rows, METRICS[0], unit, shadow)
    assert found["p_value"] == pytest.approx(2 * stats.t.sf(abs(primary[0]) / primary[1], primary[2]), rel=1e-6)
    difference = found["model_b"]["avg_confidence"] - found["model_a"]["avg_confidence"]
    assert difference == pytest.approx(primary[0], abs=1e-9)
    shuffled = [rows[place] for place in np.random.default_rng(seed).permutation(len(rows))]
    assert answer(detmon.folder, "parts", [shuffled[:100], shuffled[100:101], shuffled[101:]], unit) == found
