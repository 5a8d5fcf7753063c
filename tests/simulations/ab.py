"""A/B tests on simulated traffic: how often nothing is called something, and how often something is found."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter
from scipy.special import expit

from detmon.stats import comparison, looks, review_arms

from .rows import Measured, Row, report

DAYS, IMAGES, CAMERAS = 7, 1000, 40


@dataclass(frozen=True)
class World:
    """`effect` on B's confidences, the share of B; `cameras`: whole cameras are routed, not images."""

    split: float
    effect: float = 0.0
    cameras: bool = False


@dataclass(frozen=True)
class Images:
    """One log: per image its arm, day, camera, boxes and sum of confidences."""

    b: np.ndarray
    day: np.ndarray
    camera: np.ndarray
    boxes: np.ndarray
    confidence: np.ndarray


def ar(n: int, phi: float, sd: float, rng: np.random.Generator) -> np.ndarray:
    """A stationary AR(1) series."""
    noise = rng.normal(0, sd, n) * np.r_[1.0, np.full(n - 1, math.sqrt(1 - phi * phi))]
    return lfilter([1.0], [1.0, -phi], noise)


def images(world: World, rng: np.random.Generator) -> Images:
    """Seven days of a thousand images."""
    n = DAYS * IMAGES
    number = np.arange(n)
    camera = number % CAMERAS
    logit, load = ar(n, 0.9, 0.35, rng), ar(n, 0.95, 0.8, rng) - 0.32
    if world.cameras:
        logit = logit + rng.normal(0, 0.25, CAMERAS)[camera]
        load = load + rng.normal(0, 0.3, CAMERAS)[camera]
        b = rng.permutation(CAMERAS)[camera] < CAMERAS // 2
    else:
        b = rng.random(n) < world.split
    boxes = rng.poisson(3 * np.exp(load))
    owner = np.repeat(number, boxes)
    morning = number % IMAGES < IMAGES / 4
    confidence = expit(1.1 + logit[owner] - 0.3 * morning[owner] + rng.normal(0, 0.9, len(owner)))
    confidence = confidence + world.effect * b[owner]
    return Images(b, number // IMAGES, camera, boxes, np.bincount(owner, confidence, n))


def by_image(log: Images) -> list[looks.Look]:
    """Daily looks at mean confidence, each image a unit."""
    found = []
    for day in range(DAYS):
        seen = log.day <= day
        arms = [comparison.sums(log.confidence[one], log.boxes[one]) for one in (seen & ~log.b, seen & log.b)]
        found.append(_look(day + 1, arms, 1 / sum(1 / arm.units for arm in arms)))
    return found


def by_camera(log: Images) -> list[looks.Look]:
    """Daily looks at mean confidence, each camera a unit."""
    found = []
    for day in range(DAYS):
        seen = log.day <= day
        arms = []
        for b in (False, True):
            own = seen & (log.b == b)
            cameras = np.unique(log.camera[own])
            sums = (np.bincount(log.camera[own], value[own], CAMERAS)[cameras] for value in (log.confidence, log.boxes))
            arms.append(comparison.sums(*sums))
        found.append(_look(day + 1, arms, day + 1))
    return found


def _look(day: int, arms: list[comparison.Sums], information: float) -> looks.Look:
    ratios = [arm.ratio for arm in arms]
    assert ratios[0] is not None
    assert ratios[1] is not None
    return looks.Look(day, (arms[0].units, arms[1].units), information, comparison.welch(ratios[0], ratios[1]))


def crossed(found: list[looks.Look], min_units: int) -> bool:
    """Whether some look crosses its boundary at 0.05, which is the same as a p-value of at most 0.05."""
    return any(abs(look.z) >= look.boundary for look in looks.bounded(found, DAYS, min_units))


def significant(world: World, seed: int) -> bool:
    """One replicate of a test by image."""
    return crossed(by_image(images(world, np.random.default_rng(seed))), 30)


def cameras_significant(seed: int) -> bool:
    """One replicate of a test routed by camera; the unit must be found out."""
    log = images(World(0.5, cameras=True), np.random.default_rng(seed))
    counts = [(int((~log.b[log.camera == one]).sum()), int(log.b[log.camera == one].sum())) for one in range(CAMERAS)]
    assert comparison.routed_by_source(counts, 0.5)
    return crossed(by_camera(log), 6)


def overconfident(seed: int) -> tuple[bool, bool]:
    """Two models of equal precision, one less confident: whether confidence, and precision, 'differ' at 0.05."""
    rng = np.random.default_rng(seed)
    means, reviews = [], []
    for b in (False, True):
        owner = np.repeat(np.arange(4000), rng.poisson(3, 4000))
        quality = rng.beta(6, 2, len(owner))
        correct = rng.random(len(owner)) < quality
        confidence = 0.15 + 0.6 * quality if b else quality
        boxes = np.bincount(owner, minlength=4000).astype(float)
        means.append(comparison.sums(np.bincount(owner, confidence, 4000), boxes).ratio)
        unsure = np.bincount(owner, confidence < 0.6, 4000) > 0
        pi = np.where(unsure, 0.3, 0.05)
        chosen = rng.random(4000) < pi
        right = np.bincount(owner, correct, 4000)
        reviews.append(
            review_arms.reviewed_arm(right[chosen], boxes[chosen], 1 / pi[chosen], np.flatnonzero(chosen).astype(float))
        )
    precision = review_arms.precision_difference(*reviews, units_are_images=True)
    return comparison.welch(*means).p <= 0.05, precision.p <= 0.05


def _count(one: Callable[[int], bool], seed: int) -> Callable[[int], Measured]:
    return lambda n: Measured(sum(one(seed + number) for number in range(n)), n)


def _of(world: World, seed: int) -> Callable[[int], Measured]:
    return _count(lambda number: significant(world, number), seed)


def _overconfident(n: int) -> Measured:
    """How often precision 'differs'; also: confidence always does, and so never may decide."""
    found = [overconfident(5000 + number) for number in range(n)]
    return Measured(sum(precision for _, precision in found), n, also=all(confidence for confidence, _ in found))


ROWS = [
    Row("A1", "nothing changed, 10 % to B, seven daily looks", 300, _of(World(0.1), 1000), high=29),
    Row("A2", "nothing changed, halves", 150, _of(World(0.5), 2000), high=18),
    Row("A3", "confidence +0.01, halves", 100, _of(World(0.5, 0.01), 3000), low=74),
    Row("A4", "nothing changed, 40 cameras routed whole", 60, _count(cameras_significant, 4000), high=9),
    Row("A5", "equal precision, B less confident: precision differs", 60, _overconfident, high=9),
]
"""What is counted: p-values of at most 0.05."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def main(arguments: argparse.Namespace) -> bool:
    """Print the table; whether all rows hold."""
    return report(ROWS, arguments.rows, arguments.replicates)
