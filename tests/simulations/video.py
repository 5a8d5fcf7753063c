"""Videos: objects that stay in view for seconds, seen by sources that differ from one another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from scipy.special import expit

from detmon.stats.blocks import Choice
from detmon.stats.drift import Verdict

from .log import Log
from .world import BASE, LOGIT, Boxes, Floats, Ints, ar

START = datetime(2024, 1, 1, 8)
WARM_UP = 60
"""Seconds before the log in which objects arrive."""
DWELL = 10.0
"""Mean seconds that an object stays."""


@dataclass(frozen=True)
class Video:
    """Some sources for `reference` seconds and then for `current` ones, or other sources at the same time."""

    sources: int
    fps: int
    reference: int
    current: int
    fresh: bool = False
    """Whether the current window shows sources of its own."""
    dimmed: float = 0.0
    """What the confidences of the current window lose."""

    def check(self, log: Log) -> tuple[Choice, Verdict]:
        """The blocks that are chosen, and what a drift check says."""
        return log.check()

    def simulate(self, rng: np.random.Generator) -> Log:
        """One log of both windows."""
        seconds = [self.reference, self.current] if self.fresh else [self.reference + self.current]
        parts = [self._source(rng, length, j) for length in seconds for j in range(self.sources)]
        frames = np.cumsum([0, *(self.fps * length for length in seconds for _ in range(self.sources))])
        boxes = Boxes(
            np.concatenate([part.frame + first for part, first in zip(parts, frames, strict=False)]),
            np.concatenate([part.label for part in parts]),
            np.concatenate([part.confidence for part in parts]),
        )
        second = np.concatenate(
            [np.arange(self.fps * length) / self.fps for length in seconds for _ in range(self.sources)]
        )
        source = np.repeat(np.arange(len(parts)), np.diff(frames))
        current = source >= self.sources if self.fresh else second >= self.reference
        if self.dimmed:
            confidence = np.clip(boxes.confidence - self.dimmed * current[boxes.frame], 0, 1)
            boxes = replace(boxes, confidence=confidence)
        times = np.datetime64(START, "us") + (second * 1e6).astype("timedelta64[us]")
        return Log(times, np.array([f"source{j:02d}" for j in range(len(parts))])[source], current, boxes, len(BASE))

    def _source(self, rng: np.random.Generator, seconds: int, place: int) -> Boxes:
        """What one source sees."""
        traits = rng if self.fresh else np.random.default_rng(place)
        share = BASE * np.exp(0.5 * traits.standard_normal(len(BASE)))
        rate, trait = np.exp(0.3 * traits.standard_normal()), 0.25 * traits.standard_normal()
        busy = ar(rng, (WARM_UP + seconds,), np.exp(-1 / 60), 0.5)
        arrivals = rng.poisson(3 * rate / DWELL * np.exp(busy - 0.125))
        start = np.repeat(np.arange(-WARM_UP, seconds), arrivals) + rng.random(arrivals.sum())
        end = start + rng.exponential(DWELL, len(start))
        label = rng.choice(len(BASE), len(start), p=share / share.sum())
        grade = LOGIT[label] + trait + 0.7 * rng.standard_normal(len(start))
        frame, track = self._seen(start, end, seconds * self.fps)
        return Boxes(frame, label[track], expit(grade[track] + 0.4 * rng.standard_normal(len(track))))

    def _seen(self, start: Floats, end: Floats, frames: int) -> tuple[Ints, Ints]:
        """The frames in which each track is alive, and the track."""
        first = np.maximum(np.ceil(start * self.fps), 0).astype(np.int64)
        count = np.maximum(np.minimum(np.floor(end * self.fps).astype(np.int64), frames - 1) - first + 1, 0)
        track = np.repeat(np.arange(len(start)), count)
        since = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        return first[track] + since, track
