"""Anomaly alerts: false alarms on series in which nothing happened, and how soon a change is found."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from scipy.signal import lfilter

from detmon.alerts import machine, rules
from detmon.alerts.machine import Instance, Outcome
from detmon.metrics import CATALOGUE
from detmon.metrics.usual import scale_of
from detmon.stats import anomaly

from .rows import Measured, Row, report

SLOTS, DAYS, JUDGED = 288, 35, 7
"""Slots of five minutes a day; days of a series; how many of the last are judged."""
START = datetime(2024, 1, 1)
HOUR = np.tile(np.arange(SLOTS) / 12, DAYS)
WEEKEND = np.repeat(np.arange(DAYS) % 7 >= 5, SLOTS)
Series = np.ndarray


@dataclass(frozen=True)
class Watched:
    """A metric, its window in slots, and what draws its values slot by slot."""

    metric: str
    slots: int
    draw: Callable[[np.random.Generator], Series]

    def series(self, rng: np.random.Generator) -> Series:
        """The metric over the window before each slot."""
        return window_mean(self.draw(rng), self.slots)


def ar(n: int, phi: float, sd: float, rng: np.random.Generator) -> Series:
    """A stationary AR(1) series."""
    noise = rng.normal(0, sd, n) * np.r_[1.0, np.full(n - 1, math.sqrt(1 - phi * phi))]
    return lfilter([1.0], [1.0, -phi], noise)


def window_mean(x: Series, slots: int) -> Series:
    """The mean of the last `slots` values; of the first ones, of those there are."""
    total = np.cumsum(x)
    first = np.maximum(np.arange(len(x)) - slots, -1)
    return (total - np.where(first < 0, 0, total[first])) / (np.arange(len(x)) - first)


@dataclass(frozen=True)
class Camera:
    """What all metrics of one camera share: days that differ, a slow drift, traffic by hour and day of the week."""

    day: Series
    slow: Series
    traffic: Series


def camera(rng: np.random.Generator) -> Camera:
    """Five weeks of a camera in which nothing happens."""
    n = DAYS * SLOTS
    day, slow = np.repeat(rng.normal(size=DAYS), SLOTS), ar(n, 0.995, 1, rng)
    wave = np.sin(2 * math.pi * (HOUR - 9) / 24)
    return Camera(day, slow, np.exp(math.log(200) + wave - 0.4 * WEEKEND + 0.1 * day + 0.15 * slow))


def confidence(rng: np.random.Generator) -> Series:
    """Mean confidence of five minutes: lower at night, noisier where there is little traffic."""
    one = camera(rng)
    night = (HOUR < 6) | (HOUR > 21)
    noise = ar(len(HOUR), 0.6, 1, rng) * 0.25 / np.sqrt(np.maximum(one.traffic / 4, 1))
    return 0.74 - 0.03 * night + 0.004 * one.day + 0.006 * one.slow + noise


def latency(rng: np.random.Generator) -> Series:
    """The 99th percentile of latency: by the hour, with now and then a slow spell of one slot."""
    one, n = camera(rng), len(HOUR)
    spells = (rng.random(n) < 0.004) * rng.exponential(0.6, n)
    wave = 0.25 * np.sin(2 * math.pi * (HOUR - 9) / 24)
    return np.exp(
        math.log(220) + wave - 0.05 * WEEKEND + 0.03 * one.day + 0.05 * one.slow + ar(n, 0.5, 0.1, rng) + spells
    )


def volume(rng: np.random.Generator) -> Series:
    """Images of five minutes."""
    return rng.poisson(camera(rng).traffic * np.exp(ar(len(HOUR), 0.7, 0.1, rng))).astype(float)


def level(noise: Callable[[np.random.Generator, int], Series]) -> Callable[[np.random.Generator], Series]:
    """A confidence without days or hours, with this noise."""
    return lambda rng: 0.8 + 0.01 * noise(rng, DAYS * SLOTS)


CONFIDENCE = Watched("avg_confidence", 12, confidence)
LATENCY = Watched("p99_latency_ms", 3, latency)
VOLUME = Watched("prediction_count", 3, volume)
GAUSSIAN = Watched("avg_confidence", 1, level(lambda rng, n: rng.normal(size=n)))
REMEMBERING = Watched("avg_confidence", 1, level(lambda rng, n: ar(n, 0.9, 1, rng)))
SEASONAL = Watched("avg_confidence", 1, lambda rng: level(lambda r, n: r.normal(size=n))(rng) - 0.1 * (HOUR < 6))
HEAVY = Watched("avg_confidence", 1, level(lambda rng, n: rng.standard_t(3, n)))


# --- who judges ----------------------------------------------------------------------------------------------------

Judge = Callable[[Watched, Series], Sequence[int]]
"""The slots at which an alarm begins."""


def detmon(watched: Watched, series: Series) -> list[int]:
    """The code of `alert check`: the score beside the same time of the days before, and the state machine."""
    definition = rules.define(
        {"metric": watched.metric, "operator": "anomaly", "window": f"{5 * watched.slots}m"}, metrics=CATALOGUE
    )
    instance, found = Instance("series"), []
    for slot, score in _scores(watched, series):
        outcome = Outcome(float(series[slot]), 100, compared=score)
        instance, events = machine.step(instance, definition, START + slot * timedelta(minutes=5), outcome)
        found += [slot for event in events if event.kind == "firing"]
    return found


def _scores(watched: Watched, series: Series) -> Iterator[tuple[int, float]]:
    scale = scale_of(CATALOGUE[watched.metric])
    settings = anomaly.DEFAULTS
    for slot in range((DAYS - JUDGED) * SLOTS, len(series)):
        before = [slot - SLOTS * back for back in range(1, settings.days + 1)]
        days = [(bool(WEEKEND[then]), float(series[then])) for then in before]
        alike = anomaly.of_alike_days(days, bool(WEEKEND[slot]), settings)
        yield slot, anomaly.usual(alike, scale, settings).z(float(series[slot]))


def band(_: Watched, series: Series) -> list[int]:
    """A fixed band: mean and three standard deviations of the four weeks before."""
    past = series[: (DAYS - JUDGED) * SLOTS]
    return _alarms(np.abs(series - past.mean()) > 3 * past.std())


def trailing(_: Watched, series: Series) -> list[int]:
    """More than three standard deviations from the mean of the 24 hours before."""
    mean = np.r_[np.full(1, series[0]), window_mean(series, SLOTS)[:-1]]
    square = np.r_[np.full(1, series[0] ** 2), window_mean(series**2, SLOTS)[:-1]]
    sd = np.sqrt(np.maximum(square - mean**2, 0))
    return _alarms(np.abs(series - mean) > 3 * np.maximum(sd, 1e-12))


def _alarms(odd: np.ndarray) -> list[int]:
    """Where the third of three odd slots in a row is, as of the days judged."""
    third = odd & np.r_[False, odd[:-1]] & np.r_[False, False, odd[:-2]]
    begins = third & ~np.r_[False, third[:-1]]
    return [int(slot) for slot in np.flatnonzero(begins) if slot >= (DAYS - JUDGED) * SLOTS]


OTHERS: dict[str, Judge] = {"fixed band": band, "trailing 24 h": trailing}


# --- claims --------------------------------------------------------------------------------------------------------


def quiet(watched: Watched, seed: int) -> Callable[[int], Measured]:
    """Alarms in so many days in which nothing happened."""

    def run(days: int) -> Measured:
        count, others = 0, dict.fromkeys(OTHERS, 0)
        replicates = -(-days // JUDGED)
        for number in range(replicates):
            series = watched.series(np.random.default_rng([seed, number]))
            count += len(detmon(watched, series))
            for name, judge in OTHERS.items():
                others[name] += len(judge(watched, series))
        judged = replicates * JUDGED
        rates = {name: f"{alarms / judged:.2f}" for name, alarms in others.items()}
        return Measured(count, judged, {"a day": f"{count / judged:.2f}", **rates, "after": ""})

    return run


def changed(watched: Watched, change: Callable[[Series], Series], within: int, seed: int) -> Callable[[int], Measured]:
    """How often a lasting change, some time in the first two days judged, is found within so many slots."""

    def run(replicates: int) -> Measured:
        delays: dict[str, list[int]] = {name: [] for name in ("detmon", *OTHERS)}
        for number in range(replicates):
            rng = np.random.default_rng([seed, number])
            series = watched.draw(rng)
            since = (DAYS - JUDGED) * SLOTS + int(rng.integers(144, 432))
            series[since:] = change(series[since:])
            series = window_mean(series, watched.slots)
            for name, judge in {"detmon": detmon, **OTHERS}.items():
                later = [slot - since for slot in judge(watched, series) if slot >= since]
                delays[name] += [later[0]] if later and later[0] < within else []
        shares = {name: f"{len(found) / replicates:.0%}" for name, found in delays.items() if name != "detmon"}
        own = delays["detmon"]
        middle = f"{5 * float(np.median(own)):.0f} min" if own else "–"
        return Measured(len(own), replicates, {"a day": "", **shares, "after": middle})

    return run


def rows() -> list[Row]:
    """Days judged, and alarms in them; or replicates, and how many are found."""
    return [
        Row("N1", "Gaussian noise", 140, quiet(GAUSSIAN, 51), high=14),
        Row("N2", "AR(1), 0.9 a slot", 140, quiet(REMEMBERING, 52), high=35),
        Row("N3", "Gaussian noise, lower at night", 140, quiet(SEASONAL, 53), high=14),
        Row("N4", "heavy tails, t with 3 degrees", 140, quiet(HEAVY, 54), high=14),
        Row("N5", "confidence over 1 h, nothing happened", 280, quiet(CONFIDENCE, 55), high=70),
        Row("N6", "p99 latency over 15 min, nothing happened", 280, quiet(LATENCY, 56), high=112),
        Row("N7", "volume over 15 min, nothing happened", 280, quiet(VOLUME, 57), high=56),
        Row("S1", "confidence - 0.05", 30, changed(CONFIDENCE, lambda x: x - 0.05, SLOTS, 58), low=22),
        Row("S2", "p99 latency doubled", 30, changed(LATENCY, lambda x: 2 * x, SLOTS, 59), low=22),
        Row("S3", "volume halved", 30, changed(VOLUME, lambda x: np.floor(x / 2), SLOTS, 60), low=22),
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def main(arguments: argparse.Namespace) -> bool:
    """Print the table; whether all rows hold."""
    return report(rows(), arguments.rows, arguments.replicates)
