"""Reviews: how well precision and recall from a biased sample meet the truth of a simulated process."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import expit, logit

from detmon import Client, reviewed
from detmon.quality import expected
from detmon.quality.records import Estimate
from detmon.stats import calibration, estimation
from detmon.stats.buckets import bucket
from detmon.stats.estimation import Ratio
from detmon.stats.intervals import wilson
from detmon.times import EPOCH, Period

from .rows import Measured, Row, report

PRECISION, RECALL, NAIVE = 0.661, 0.825, 0.589
"""The process's own, and what the reviewed boxes say when nobody asks how their images were chosen."""
IMAGES, CLUSTERS = 4000, 28
MODEL = "simulated@1"
LOW, LOW_RATE, RATE = 0.6, 0.3, 0.05


@dataclass(frozen=True)
class Reviewed:
    """A month of images in 28 clusters, all of whose boxes are judged; only `chosen` images are known to a reviewer.

    Per box: `image`, `confidence`, `correct`; per image: `cluster`, `pi` and how many objects were `missed`.
    """

    image: np.ndarray
    confidence: np.ndarray
    correct: np.ndarray
    cluster: np.ndarray
    missed: np.ndarray
    pi: np.ndarray
    chosen: np.ndarray

    @property
    def boxes(self) -> np.ndarray:
        return self.per_image(np.ones(len(self.image)))

    @property
    def right(self) -> np.ndarray:
        return self.per_image(self.correct)

    def per_image(self, values: np.ndarray) -> np.ndarray:
        """Sums over each image's boxes."""
        return np.bincount(self.image, values, len(self.cluster))

    @property
    def precision(self) -> float:
        """Of all the boxes."""
        return float(self.correct.mean())

    def ratio(self, y: np.ndarray, x: np.ndarray) -> Ratio:
        """The weighted ratio over the chosen images."""
        here = self.chosen
        day, one = self.cluster[here], np.zeros(int(here.sum()), int)
        found = estimation.ratio_estimate(1 / self.pi[here], y[here], x[here], one, day, day)
        assert found is not None
        return found


def world(seed: int, images: int = IMAGES, clusters: int = CLUSTERS) -> Reviewed:
    """Images with a low confidence are reviewed at .3, the others at .05: reviewers see the hard ones."""
    rng = np.random.default_rng([65, seed])
    cluster = rng.integers(0, clusters, images)
    shared = rng.normal(0, 0.5, clusters)[cluster]
    own = rng.normal(0, 0.5, images)
    counts = rng.poisson(3, images)
    image = np.repeat(np.arange(images), counts)
    confidence = expit(1.3 + own[image] + rng.normal(size=len(image)))
    correct = rng.random(len(image)) < expit(logit(confidence) - 0.4 + 0.5 * own[image] + shared[image])
    missed = rng.poisson(0.4 * np.exp(-0.4 * own - 0.5 * shared))
    low = np.zeros(images, bool)
    low[image[confidence < LOW]] = True
    pi = np.where(low, LOW_RATE, RATE)
    return Reviewed(image, confidence, correct.astype(float), cluster, missed, pi, rng.random(images) < pi)


@dataclass(frozen=True)
class Met:
    """What one replicate's estimates met."""

    precision: bool
    own_precision: bool
    recall: bool
    naive: bool
    naive_value: float
    assisted: bool
    expected: bool
    widths: tuple[float, float]


@cache
def met(seed: int) -> Met:
    """One replicate."""
    one = world(seed)
    precision, recall = one.ratio(one.right, one.boxes), one.ratio(one.right, one.right + one.missed)
    there = one.chosen[one.image]
    share, n = float(one.correct[there].mean()), int(there.sum())
    assisted = _assisted(one)
    return Met(
        _in(PRECISION, (precision.low, precision.high)),
        _in(one.precision, (precision.low, precision.high)),
        _in(RECALL, (recall.low, recall.high)),
        _in(one.precision, wilson(share, n)),
        share,
        _in(one.precision, assisted),
        _in(one.precision, _expected(one)),
        (precision.high - precision.low, assisted[1] - assisted[0]),
    )


def _in(truth: float, interval: tuple[float, float]) -> bool:
    return interval[0] <= truth <= interval[1]


def _fit(one: Reviewed, chosen: np.ndarray) -> calibration.Curve:
    w = (1 / one.pi)[one.image]
    return calibration.isotonic_curve(one.confidence[chosen], one.correct[chosen], w[chosen])


def _assisted(one: Reviewed) -> tuple[float, float]:
    curve, here = _fit(one, one.chosen[one.image]), one.chosen
    expected = one.per_image(curve(one.confidence))
    _, low, high = estimation.assisted_ratio(
        1 / one.pi[here], one.right[here], expected[here], float(expected.sum()), len(one.image)
    )
    return low, high


GROUP = np.array([int(calibration.GROUPS * bucket("jackknife", str(number))) for number in range(IMAGES)])


def _expected(one: Reviewed) -> tuple[float, float]:
    there = one.chosen[one.image]
    value = float(_fit(one, there)(one.confidence).mean())
    without = [_fit(one, there & (GROUP[one.image] != group)) for group in range(calibration.GROUPS)]
    return calibration.jackknife(value, [float(curve(one.confidence).mean()) for curve in without])


# --- the check of the curve -----------------------------------------------------------------------------------------

OLD_DAYS, DAYS, PER_DAY = 8, 22, 10


def _contradicted(seed: int) -> bool:
    """Whether a curve of few reviews fails on newer ones although nothing has changed."""
    one = world(seed, DAYS * PER_DAY, DAYS)
    number, boxes = len(one.cluster), len(one.image)
    ones, none, day = np.ones(number), np.full(boxes, -1), one.cluster
    said = reviewed.Verdicts(
        image=one.image,
        kind=np.where(one.correct > 0, reviewed.CORRECT, reviewed.FALSE_POSITIVE),
        label=np.zeros(boxes, int),
        true_label=none,
        confidence=one.confidence,
        reason=[None] * boxes,
        tide=[None] * boxes,
        labels=["car"],
    )
    images = reviewed.Images(
        source=np.zeros(number, int),
        day=day,
        hour=24 * day,
        seconds=86400 * day + np.arange(number),
        image_id=[str(place) for place in range(number)],
        pi=one.pi,
        served=one.boxes.astype(int),
        complete=ones > 0,
        exhaustive=ones > 0,
        number=ones,
        sources=["cam-1"],
    )
    end = EPOCH + timedelta(days=DAYS)
    totals = reviewed.Totals(number, number, 0, 0, EPOCH, end, False)
    period = Period(EPOCH, end, "all")
    reviews = reviewed.Reviews(MODEL, period, reviewed.DEFAULTS, 0.0, images, said, totals, None, ())
    found = expected.past(reviews, reviewed.Sample("census", ones), end)
    assert isinstance(found, reviewed.Reason) or found.check == "passed"
    return isinstance(found, reviewed.Reason) and found.code == "calibration_changed"


def _check(replicates: int) -> Measured:
    return Measured(sum(_contradicted(seed) for seed in range(replicates)), replicates)


# --- through the product -------------------------------------------------------------------------------------------

START = datetime(2026, 1, 5)
ENGINE = {
    "low_confidence": {"enabled": True, "threshold": LOW, "sample_rate": LOW_RATE},
    "edge_cases": {"enabled": True, "conditions": ["no_detections", "high_density", "unusual_size"]},
    "random_sample": {"enabled": True, "rate": RATE},
}


def write_log(one: Reviewed, path: Path) -> None:
    """The month as a log: a cluster is a day, an image's id its number."""
    counts = np.bincount(one.image, minlength=IMAGES)
    box = pa.array([{"x": 10.0, "y": 10.0, "w": 50.0, "h": 50.0}] * len(one.image))
    labels, scores = pa.array(["car"] * len(one.image)), pa.array(one.confidence.astype(np.float32))
    detections = pa.StructArray.from_arrays([labels, scores, box], ["label", "confidence", "bbox"])
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    moments = [START + timedelta(days=int(day), seconds=15 * place) for place, day in enumerate(one.cluster)]
    names = [str(place) for place in range(IMAGES)]
    columns = {
        "prediction_id": names,
        "model_id": [MODEL] * IMAGES,
        "timestamp": pa.array(moments, pa.timestamp("us", "UTC")),
        "image_id": names,
        "source": ["cam-1"] * IMAGES,
        "detections": pa.ListArray.from_arrays(offsets, detections),
    }
    pq.write_table(pa.table(columns), path)


def write_reviews(one: Reviewed, chosen: Iterable[str], path: Path) -> tuple[int, int]:
    """Complete reviews of some images as a file; how many boxes are judged, and how many of them are correct."""
    starts = np.concatenate([[0], np.cumsum(np.bincount(one.image, minlength=IMAGES))])
    rows: list[tuple[str, int | None, str]] = []
    for name in chosen:
        begin, end = starts[int(name)], starts[int(name) + 1]
        kinds = ["correct" if right else "false_positive" for right in one.correct[begin:end]]
        rows += [(name, place, kind) for place, kind in enumerate(kinds)]
        rows += [(name, None, "missed_object")] * int(one.missed[int(name)])
        if begin == end and not one.missed[int(name)]:
            rows.append((name, None, "correct"))  # looked at, nothing there
    ids, places, kinds = (list(column) for column in zip(*rows, strict=True))
    table = {"prediction_id": ids, "detection_index": pa.array(places, pa.int32()), "feedback_type": kinds}
    pq.write_table(pa.table({**table, "scope": ["exhaustive"] * len(rows)}), path)
    judged = [kind for _, place, kind in rows if place is not None]
    return len(judged), judged.count("correct")


@cache
def through_the_product(seed: int) -> tuple[bool, bool, bool]:
    """Log, data engine, reviews of what it selected, `quality show`: does precision, recall, the naive share cover?"""
    one = world(seed)
    with TemporaryDirectory() as name:
        folder = Path(name)
        client = Client(folder / "detmon.duckdb", now="2026-03-01T00:00:00Z")
        write_log(one, folder / "log.parquet")
        client.ingest(folder / "log.parquet")
        dataset = client.create_dataset("review")
        client.configure_data_engine(model_id=MODEL, config=ENGINE, target_dataset_id=dataset.id)
        client.run_data_engine(model_id=MODEL)
        chosen = [item.prediction_id for item in client.get_flagged_items(dataset.id, limit=IMAGES)]
        n, correct = write_reviews(one, chosen, folder / "reviews.parquet")
        client.import_feedback(folder / "reviews.parquet")
        report = client.show_quality(MODEL)
    return (
        _covers(PRECISION, report.precision),
        _covers(RECALL, report.recall),
        _in(one.precision, wilson(correct / n, n)),
    )


def _covers(truth: float, estimate: Estimate | None) -> bool:
    return estimate is not None and _in(truth, (estimate.low or 0.0, estimate.high or 0.0))


def _product(replicates: int) -> Measured:
    found = [through_the_product(seed) for seed in range(replicates)]
    both = sum(precision and recall for precision, recall, _ in found)
    return Measured(both, replicates, also=not any(naive for *_, naive in found))


def _count(what: Callable[[Met], bool]) -> Callable[[int], Measured]:
    def run(replicates: int) -> Measured:
        found = [met(seed) for seed in range(replicates)]
        return Measured(sum(what(one) for one in found), replicates)

    return run


def _naive(replicates: int) -> Measured:
    found = [met(seed) for seed in range(replicates)]
    value = math.fsum(one.naive_value for one in found) / replicates
    tolerance = 0.01 * math.sqrt(max(1, 200 / replicates))
    return Measured(sum(one.naive for one in found), replicates, also=abs(value - NAIVE) <= tolerance)


WORLD = "low-confidence images reviewed at .3, others at .05"
ROWS: list[Row] = [
    Row("Q1", f"{WORLD}: the interval of precision covers the process", 200, _count(lambda m: m.precision), 180, 198),
    Row("Q2", f"{WORLD}: that of recall", 200, _count(lambda m: m.recall), 180, 198),
    Row("Q3", f"{WORLD}: the naive interval covers the month's own precision", 200, _naive, None, 4),
    Row("Q4", f"{WORLD}: the interval of precision covers that", 200, _count(lambda m: m.own_precision), 188, 200),
    Row("Q5", f"{WORLD}: the assisted interval covers it", 200, _count(lambda m: m.assisted), 180, 198),
    Row("Q6", f"{WORLD}: the expected precision's interval covers it", 200, _count(lambda m: m.expected), 176, 200),
    Row("Q7", "the same from a log through engine, feedback and `quality show`: both cover", 40, _product, 34, None),
    Row("Q8", "nothing changed: 80 reviewed images of 8 days are contradicted by 140 newer ones", 200, _check, None, 5),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing beyond the common options."""


def main(arguments: argparse.Namespace) -> bool:
    """Print the table."""
    return report(ROWS, arguments.rows, arguments.replicates)
