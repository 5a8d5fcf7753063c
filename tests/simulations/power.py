"""Power: how often a drift check finds a change, by the length of its periods and the number of cameras."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from statistics import median

import numpy as np

from detmon.stats.drift import Verdict

from .fleet import REFERENCE_DAYS, Fleet

CAMERAS = (4, 16)
CURRENT_DAYS = (7, 1, 28)
SHIFTS = {
    "": "nothing",
    "conf": "confidence - 0.03",
    "fog": "fog at night",
    "class": "share of a class 40 % → 48 %",
    "new": "a new class of 0.1 %",
    "objects": "objects - 15 %",
}
REPLICATES = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing beyond the common options; `--rows` names shifts."""


def main(arguments: argparse.Namespace) -> bool:
    """Print what is found, and what the checks say that they could find."""
    replicates = arguments.replicates or REPLICATES
    wanted = arguments.rows.split(",") if arguments.rows else list(SHIFTS)
    heads = ["changed", *(f"{REFERENCE_DAYS} v {days} days" for days in CURRENT_DAYS)]
    print(f"Significant checks, {' / '.join(map(str, CAMERAS))} cameras, {replicates} histories each:\n")
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for shift in wanted:
        cells = [
            " / ".join(f"{found(cameras, days, shift, replicates):.0%}" for cameras in CAMERAS) for days in CURRENT_DAYS
        ]
        print(f"| {SHIFTS[shift]} | " + " | ".join(cells) + " |", flush=True)
    print("\nWhat a check says that it could find, 28 v 7 days, medians:\n")
    print("| cameras | confidence | detections per image | a class of 40 % | a class of 14 % |\n|---|---|---|---|---|")
    for cameras in CAMERAS:
        print(f"| {cameras} | " + " | ".join(detectable(cameras, replicates)) + " |")
    return True


def verdicts(cameras: int, days: int, shift: str, replicates: int) -> Iterator[Verdict]:
    """The checks of some histories."""
    fleet = Fleet(shift=shift, last=REFERENCE_DAYS + days - 1, cameras=cameras)
    for replicate in range(replicates):
        yield fleet.check(fleet.simulate(np.random.default_rng([cameras, days, replicate])))[1]


def found(cameras: int, days: int, shift: str, replicates: int) -> float:
    """The share of significant checks."""
    return sum(verdict.significant_drift is True for verdict in verdicts(cameras, days, shift, replicates)) / replicates


def detectable(cameras: int, replicates: int) -> list[str]:
    """Median detectable changes: confidence, detections per image, a frequent and a rarer class."""
    checks = list(verdicts(cameras, 7, "", replicates))
    effects = [
        [verdict.detectable_change[name] or np.nan for verdict in checks]
        for name in ("avg_confidence", "detections_per_image")
    ]
    classes = [
        [verdict.detectable_class_change[label] or np.nan for verdict in checks] for label in ("class00", "class02")
    ]
    confidence, *relative = (median(values) for values in (*effects, *classes))
    return [f"{confidence:.3f}", *(f"{change:.0%}" for change in relative)]
