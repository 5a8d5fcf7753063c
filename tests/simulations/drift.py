"""Drift: how often a check is significant in worlds that changed, and in worlds that did not."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from detmon.stats.blocks import DAYS
from detmon.stats.clusters import Design, limited
from detmon.stats.drift import Verdict
from detmon.stats.probes import share_values

from . import naive
from .fleet import NEW, Fleet
from .log import labels
from .peers import Peers
from .rows import Measured, Row, report
from .video import Video

NAIVE = {"KS on boxes": naive.ks, "chi-square on boxes": naive.chi_square}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What others say of the same boxes."""
    parser.add_argument(
        "--peers", action="store_true", help="also ask Evidently and NannyML (see tests/simulations/peers.py)"
    )


def main(arguments: argparse.Namespace) -> bool:
    """Print the table."""
    return report(rows(peers=arguments.peers), arguments.rows, arguments.replicates)


def rows(*, peers: bool = False) -> list[Row]:
    """The claims: each with the most, or the fewest, significant checks that are right."""

    def fleet(number: int, world: Fleet, replicates: int, text: str, size: str = "1d", **options: Any) -> Row:
        bounds = {name: options.pop(name) for name in ("low", "high") if name in options}
        windows = f"{world.split - world.first} v {world.last + 1 - world.split} days"
        run = measure(number, world, size, peers=peers, **options)
        return Row(f"D{number}", f"{text}, {windows}: {size}", replicates, run, **bounds)

    def video(number: int, world: Video, replicates: int, text: str, size: str, **bounds: float) -> Row:
        return Row(f"D{number}", f"{text}: {size}", replicates, measure(number, world, size, peers=peers), **bounds)

    few_days = {"first": 21, "split": 24, "last": 24}
    return [
        fleet(1, Fleet(), 200, "days differ, nothing changed", high=16),
        fleet(2, Fleet(level=1), 100, "clusters, nothing changed", high=11),
        fleet(3, Fleet(level=3), 100, "days remember, nothing changed", high=20),
        fleet(4, Fleet(last=28), 100, "days differ, nothing changed", high=11),
        fleet(5, Fleet(shift="conf"), 60, "confidence - 0.03", low=48),
        fleet(6, Fleet(shift="new"), 40, "a new class of 0.1 %", found=finds_new_class, low=38),
        fleet(7, Fleet(shift="fog"), 60, "fog at night", low=33),
        fleet(8, Fleet(shift="class", last=55), 40, "a class + 20 %", low=34),
        fleet(9, Fleet(first=21, rare=60), 15, "60 rare classes, nothing changed", seldom=new_by_test, high=4),
        video(10, Video(1, 2, 120, 60), 100, "a video, 120 s v 60 s, nothing changed", "5s", high=13),
        video(11, Video(10, 1, 30, 30, fresh=True), 100, "10 clips v 10 others, nothing changed", "source", high=12),
        video(12, Video(8, 1, 600, 300, dimmed=0.15), 40, "8 cameras, 600 s v 300 s, confidence - 0.15", "1m", low=34),
        Row("D13", "half as many images a block, few of them empty", 200, few_events, high=22),
        fleet(14, Fleet(**few_days), 60, "days differ, nothing changed", "1h", high=8),
        fleet(15, Fleet(shift="conf", **few_days), 60, "confidence - 0.03", "1h", low=6),
    ]


def significant(verdict: Verdict) -> bool:
    """The check says drift."""
    return verdict.significant_drift is True


def never(verdict: Verdict) -> bool:
    """Nothing further is looked at."""
    return False


def finds_new_class(verdict: Verdict) -> bool:
    """The check says drift, and names the new class."""
    return significant(verdict) and labels(NEW + 1)[NEW] in verdict.new_classes


def new_by_test(verdict: Verdict) -> bool:
    """A class is called new beyond chance."""
    return any(change.affected and change.tag == "new" for change in verdict.classes)


def measure(
    seed: int,
    world: Fleet | Video,
    size: str,
    found: Callable[[Verdict], bool] = significant,
    seldom: Callable[[Verdict], bool] = never,
    *,
    peers: bool,
) -> Callable[[int], Measured]:
    """How often `found` holds in histories of a world; `seldom` may hold once, and the blocks are of `size` always."""

    def run(replicates: int) -> Measured:
        hits = strange = 0
        same = True
        alarms = dict.fromkeys(NAIVE, 0)
        with ExitStack() as stack:
            asked = stack.enter_context(Peers()) if peers else None
            for replicate in range(replicates):
                log = world.simulate(np.random.default_rng([seed, replicate]))
                choice, verdict = world.check(log)
                hits += found(verdict)
                strange += seldom(verdict)
                same = same and choice.size == size
                current = log.current[log.boxes.frame]
                for name, test in NAIVE.items():
                    alarms[name] += test(log.boxes, current)
                if asked:
                    asked.add(log.boxes, log.times, current)
            others = {name: percent(count, replicates) for name, count in alarms.items()}
            return Measured(hits, replicates, {**others, **(asked.answers() if asked else {})}, same and strange <= 1)

    return run


def percent(count: int, total: int) -> str:
    """A share of replicates."""
    return f"{100 * count / total:.0f} %"


def few_events(replicates: int) -> Measured:
    """How often the share of empty images alone differs, when there are few of them and half as many images."""
    current = np.arange(120) >= 60
    cases = np.where(current, 100, 200)
    design = Design.of(current)

    def p_values(events: np.ndarray) -> list[float]:
        values = [y for _, _, y in share_values(events[:, None], cases, current, 5)]
        fits = [design.fit(y[:, None]) for y in values]
        return [fit.tests(limited(fit.autocorrelations(DAYS.kappa), DAYS))[0].p for fit in fits]

    hits = 0
    for replicate in range(replicates):
        events = np.random.default_rng([13, replicate]).poisson(np.where(current, 0.28, 0.56))
        hits += any(p <= 0.05 for p in p_values(events))
    return Measured(hits, replicates, also=not p_values(np.zeros(120, np.int64)))
