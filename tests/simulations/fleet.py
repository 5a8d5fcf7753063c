"""A fleet of cameras with day and night, weekends, clusters of alike frames, and days that differ.

Four cameras, one frame each five minutes; eight classes. Levels: 0 independent frames, 1 clusters and a daily season,
2 also days and weekends that differ, 3 days that remember the day before. Shifts begin with day 28.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import numpy as np
from scipy.special import expit

from detmon.stats.blocks import Choice, choose
from detmon.stats.drift import Verdict

from .log import Log
from .world import BASE, LOGIT, Boxes, Floats, Ints, ar

START = datetime(2024, 1, 1)
"""A Monday: days 5 and 6 of a week are its weekend."""
PER_DAY = 288
REFERENCE_DAYS = 28
WEEKEND = np.array([-0.15, 0.2, 0.1, 0, -0.2, 0.1, 0, 0])
NIGHT = np.array([0.1, -0.2, 0.3, 0, -0.3, 0.2, 0, 0])
NEW = 8
"""The number of the class that `new` adds."""


@dataclass(frozen=True)
class Fleet:
    """A fleet over the days `first` to `last`, the current window beginning with `split`."""

    level: int = 2
    shift: str = ""
    first: int = 0
    split: int = REFERENCE_DAYS
    last: int = 34
    cameras: int = 4
    rare: int = 0
    """So many further classes, that share 3 % of the boxes."""

    @property
    def classes(self) -> int:
        return len(BASE) + self.rare + (self.shift == "new")

    def check(self, log: Log) -> tuple[Choice, Verdict]:
        """The blocks that are chosen, the same for all histories, and what a drift check says."""
        return log.check(_blocks(self))

    def simulate(self, rng: np.random.Generator) -> Log:
        """One history of the fleet."""
        day = np.repeat(np.arange(self.first, self.last + 1), PER_DAY)
        hour = np.tile(np.arange(PER_DAY) // 12, self.last + 1 - self.first)
        days, frames = self.last + 1 - self.first, len(day)
        base, logit = _classes(self.rare)
        kinds = len(base)
        tilt, rate, trait = _traits(self.cameras, kinds)

        # What differs by day, and between day and night: shares [cameras, days, 2, kinds], confidence, rate.
        clustered, daily = self.level >= 1, self.level >= 2
        phi = 0.6 if self.level >= 3 else 0.0
        rates, mixes, grades = (
            (ar(rng, (days,), phi, 0.12), ar(rng, (kinds, days), phi, 0.08), ar(rng, (days,), phi, 0.05))
            if daily
            else (np.zeros(days), np.zeros((kinds, days)), np.zeros(days))
        )
        weekend = (np.arange(self.first, self.last + 1) % 7 >= 5) & daily
        night = ((hour < 6) | (hour >= 21)) & clustered
        part = np.stack([np.zeros(kinds), _padded(NIGHT, kinds)])
        log_share = mixes.T[:, None] + (weekend[:, None] * _padded(WEEKEND, kinds))[:, None] + part
        share = _normal(base * np.exp(log_share))
        share = _normal(share * np.exp(tilt)[:, None, None])
        place = day - self.first
        foggy = night & (day >= self.split) & (self.shift == "fog")
        shares = np.repeat(share[..., None, :], 2, axis=-2)  # [cameras, days, night, shifted, kinds]
        if self.shift == "fog":
            shares[..., 1, 4:8] *= 0.6
            shares = _normal(shares)
        if self.shift == "class":
            first = np.minimum(shares[..., 1, 0] * 1.2, 0.95)
            shares[..., 1, 1:] *= ((1 - first) / (1 - shares[..., 1, 0]))[..., None]
            shares[..., 1, 0] = first
        shifted = foggy | ((day >= self.split) & (self.shift == "class"))

        # What differs by frame: rates [cameras, frames], clusters of classes.
        season = 1 + 0.8 * np.sin(2 * np.pi * (hour - 8) / 24) if clustered else np.ones(frames)
        hourly = ar(rng, (self.cameras, days * 24), 0.8, 0.2) if clustered else np.zeros((self.cameras, days * 24))
        intensity = (
            2.5
            * season
            * np.exp(-0.35 * weekend[place] + rates[place] + np.repeat(hourly, PER_DAY // 24, axis=1))
            * rate[:, None]
            * np.where(foggy, 0.7, 1)
            * np.where((day >= self.split) & (self.shift == "objects"), 0.85, 1)
        )
        by_class = intensity[..., None] * shares[:, place, night.astype(int), shifted.astype(int)]
        if clustered:
            by_class *= np.exp(np.swapaxes(ar(rng, (self.cameras, kinds, frames), 0.95, 0.8), 1, 2) - 0.32)
        boxes = _drawn(rng, by_class.reshape(self.cameras * frames, kinds))
        if self.shift == "new":
            sudden = 0.001 * intensity * 2 * (rng.random(intensity.shape) < 0.5) * (day >= self.split)
            added = np.repeat(np.arange(self.cameras * frames), rng.poisson(sudden).ravel())
            boxes = (np.concatenate([boxes[0], added]), np.concatenate([boxes[1], np.full(len(added), kinds)]))
            logit = np.append(logit, 1.0)

        # Confidences, which all boxes of a frame share a part of.
        common = trait[:, None] - 0.3 * night + grades[place] - 0.25 * foggy
        if clustered:
            common = common + ar(rng, (self.cameras, frames), 0.9, 0.4)
        spread = 0.9 * rng.standard_normal(len(boxes[0]), dtype=np.float32)
        confidence = expit(logit[boxes[1]] + common.ravel()[boxes[0]] + spread)
        current = np.tile(day >= self.split, self.cameras)
        if self.shift == "conf":
            confidence = np.clip(confidence - 0.03 * current[boxes[0]], 0, 1)
        times, names = _frames(self)
        return Log(times, names, current, Boxes(*boxes, confidence), self.classes)


@cache
def _frames(fleet: Fleet) -> tuple[np.ndarray, np.ndarray]:
    """The time and source of each frame, camera by camera."""
    start, end = START + timedelta(days=fleet.first), START + timedelta(days=fleet.last + 1)
    times = np.arange(start, end, timedelta(minutes=5)).astype("datetime64[us]")
    return np.tile(times, fleet.cameras), np.repeat([f"camera{j}" for j in range(fleet.cameras)], len(times))


@cache
def _blocks(fleet: Fleet) -> Choice:
    """The blocks that are chosen: they follow from the frames alone."""
    times, names = _frames(fleet)
    current = times >= np.datetime64(START + timedelta(days=fleet.split))
    nothing = np.zeros(0, np.int64)
    return choose(*Log(times, names, current, Boxes(nothing, nothing, np.zeros(0)), 0).windows())


def _classes(rare: int) -> tuple[Floats, Floats]:
    """Shares and mean logits of the classes."""
    if not rare:
        return BASE, LOGIT
    tail = np.arange(1, rare + 1) ** -1.3
    return np.concatenate([BASE * 0.97, 0.03 * tail / tail.sum()]), np.concatenate([LOGIT, np.full(rare, 0.8)])


@cache
def _traits(cameras: int, kinds: int) -> tuple[Floats, Floats, Floats]:
    """Each camera's classes, rate and confidence, the same in every history."""
    rng = np.random.default_rng(7)
    tilt = 0.5 * rng.standard_normal((cameras, kinds))
    return tilt, np.exp(0.3 * rng.standard_normal(cameras)), 0.15 * rng.standard_normal(cameras)


def _padded(effects: Floats, kinds: int) -> Floats:
    return np.concatenate([effects, np.zeros(kinds - len(effects))])


def _normal(shares: Floats) -> Floats:
    return shares / shares.sum(axis=-1, keepdims=True)


def _drawn(rng: np.random.Generator, rates: Floats) -> tuple[Ints, Ints]:
    """Poisson boxes at `rates` [frames, kinds]: the frame and class of each.

    A sum of Poisson counts is one, and the classes of its boxes are independent: one draw a frame and one a box.
    """
    cumulative = rates.cumsum(axis=1)
    frame = np.repeat(np.arange(len(rates)), rng.poisson(cumulative[:, -1]))
    level = rng.random(len(frame)) * cumulative[frame, -1]
    return frame, (cumulative[frame] < level[:, None]).sum(axis=1)
