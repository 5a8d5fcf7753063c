"""Budgets: intervals of precision from images that a capped engine chose, in a fleet whose days differ."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import expit, logit

from detmon.data_engine import budget
from detmon.stats import estimation
from detmon.store import connect

from .fleet import Fleet
from .rows import Measured, Row, report

DAYS = 28
LOW, LOW_RATE, RATE = 0.6, 0.3, 0.05
PRECISION = 0.6743
"""Of the process: mean over 2,000 histories."""
BUDGETS: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "a day 30": {"per_day": 30},
    "a camera and day 12, a day 30": {"per_source_day": 12, "per_day": 30},
    "a camera and 30 min 1, a camera and day 12": {"gap": "30m", "per_source_day": 12},
    "a camera and 30 min 1, a camera and day 8, a day 20": {"gap": "30m", "per_source_day": 8, "per_day": 20},
}


@dataclass(frozen=True)
class History:
    """Four weeks of four cameras: per image its `camera`, `day` and `time`, boxes, correct boxes, and rate."""

    camera: np.ndarray
    day: np.ndarray
    time: np.ndarray
    boxes: np.ndarray
    right: np.ndarray
    rate: np.ndarray


@cache
def history(seed: int) -> History:
    """Boxes are correct as their confidence says, worse on some days of a camera, and in some images."""
    rng = np.random.default_rng([88, seed])
    log = Fleet(last=DAYS - 1).simulate(rng)
    frame, confidence = log.boxes.frame, log.boxes.confidence
    images = len(log.times)
    day = (log.times.astype("datetime64[D]") - log.times.min().astype("datetime64[D]")).astype(int)
    camera = np.unique(log.names, return_inverse=True)[1]
    shared = rng.normal(0, 0.5, (4, DAYS))[camera, day] + rng.normal(0, 0.25, images)
    correct = rng.random(len(frame)) < expit(logit(np.clip(confidence, 1e-6, 1 - 1e-6)) - 0.4 + shared[frame])
    low = np.zeros(images, bool)
    low[frame[confidence < LOW]] = True
    counts = (np.bincount(frame, values, images) for values in (None, correct))
    return History(camera, day, log.times, *counts, np.where(low, LOW_RATE, RATE))


def chosen(one: History, seed: int, said: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The images that an engine with this budget selects, and their probabilities."""
    rng = np.random.default_rng([89, seed])
    here = np.flatnonzero(rng.random(len(one.rate)) < one.rate)
    drawn = pa.table(
        {
            "prediction_id": [f"{seed}-{image}" for image in here],
            "ts": one.time[here],
            "source": [f"cam-{camera}" for camera in one.camera[here]],
            "batch_id": np.ones(len(here), np.int32),
            "probability": one.rate[here],
            "reasons": pa.nulls(len(here), pa.list_(pa.string())),
        }
    )
    with connect() as con:
        con.register("drawn", drawn)
        con.execute("CREATE TEMP TABLE selected AS FROM drawn")
        con.execute("CREATE TABLE engine_caps(engine_id TEXT, stage TEXT, group_key TEXT, tau DOUBLE, cut DOUBLE)")
        budget.apply(con, "en_1", "detmon", {"gap": None, "per_source_day": None, "per_day": None, **said})
        kept = con.execute("SELECT prediction_id, probability FROM selected ORDER BY 1").fetchall()
    return np.array([int(name.rpartition("-")[2]) for name, _ in kept]), np.array([pi for _, pi in kept])


@cache
def met(seed: int, name: str) -> tuple[bool, bool, float, int]:
    """Whether the interval meets the process, and the month itself; its error; how many images were chosen."""
    one = history(seed)
    here, pi = chosen(one, seed, BUDGETS[name])
    x, y = one.boxes[here], one.right[here]
    found = estimation.ratio_estimate(1 / pi, y, x, one.camera[here], one.day[here], one.day[here])
    assert found is not None
    own = one.right.sum() / one.boxes.sum()
    return found.low <= PRECISION <= found.high, found.low <= own <= found.high, found.value - own, len(here)


def _covered(name: str, replicates: int) -> Measured:
    results = [met(seed, name) for seed in range(replicates)]
    process, month, errors, images = (list(column) for column in zip(*results, strict=True))
    others = {
        "covers the month itself": f"{100 * np.mean(month):.0f} %",
        "bias": f"{np.mean(errors):+.4f} ± {np.std(errors) / np.sqrt(replicates):.4f}",
        "images": f"{np.mean(images):.0f}",
    }
    return Measured(sum(process), replicates, others)


ROWS = [
    Row(f"C{number}", f"budget: {name}", 200, partial(_covered, name), 184, 196) for number, name in enumerate(BUDGETS)
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing beyond the common options."""


def main(arguments: argparse.Namespace) -> bool:
    """Print the table."""
    return report(ROWS, arguments.rows, arguments.replicates)
