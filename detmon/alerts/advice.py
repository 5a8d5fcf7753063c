"""What whoever makes a rule should know: how often it would have fired, and what would make it quieter."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Event, Timer

from detmon.alerts import machine
from detmon.alerts.backtest import Backtest, Quieter, Trace, backtest, slots_of
from detmon.alerts.machine import Instance, Outcome
from detmon.alerts.rules import Definition, Rule
from detmon.errors import DetmonError
from detmon.metrics import Metric
from detmon.records import Record
from detmon.store import Connection, Store
from detmon.times import format_duration

SECONDS = 2.0
"""So long the maker of a rule waits for advice."""
NEARER = 50
"""So many values next to the one that bisection finds are tried one by one."""
LONGEST_FOR = timedelta(days=1)
"""No longer `for` is suggested."""


@dataclass(frozen=True)
class Advice(Record):
    """A sentence on a rule that was just made; `loud`: it would have fired too often, or hardly ever can."""

    text: str
    loud: bool


class TooLong(Exception):
    """A backtest took longer than it may."""


def advise(store: Store, catalogue: Mapping[str, Metric], rule: Rule, now: datetime) -> Advice | None:
    """What a backtest of a rule found, within `SECONDS`; None where there is nothing to replay."""
    import duckdb

    try:
        with store.reading() as con:
            late = Event()

            def interrupt() -> None:
                late.set()
                con.interrupt()

            timer = Timer(SECONDS, interrupt)
            timer.start()
            try:
                return _advice(con, catalogue, rule, now, late)
            finally:
                timer.cancel()
                timer.join()
    except (TooLong, duckdb.InterruptException):
        return Advice(f'detmon alert backtest "{rule.name}" says how often it would have fired', loud=False)
    except DetmonError:  # the rule stands; a store that somebody else writes to now can be asked later
        return None


def _advice(con: Connection, catalogue: Mapping[str, Metric], rule: Rule, now: datetime, late: Event) -> Advice | None:
    def stop() -> None:
        if late.is_set():
            raise TooLong

    slots = slots_of(con, rule, now)
    if not slots:
        return None
    found, trace = backtest(con, catalogue, rule, slots, stop)
    found = completed(found, rule, catalogue, trace, stop)
    return Advice("; ".join(filter(None, (found.summary, found.advice))), found.is_loud or found.is_blind)


def completed(
    found: Backtest, rule: Rule, catalogue: Mapping[str, Metric], trace: Trace, stop: Callable[[], None] = lambda: None
) -> Backtest:
    """A backtest, with what would have been quieter where it found too many episodes."""
    if not found.is_loud:
        return found
    return replace(found, quieter=quieter(rule, catalogue[rule.definition.metric], found, trace, stop))


def quieter(rule: Rule, metric: Metric, found: Backtest, trace: Trace, stop: Callable[[], None]) -> Quieter:
    """The observed value nearest to the threshold, and the shortest `for`, with which a rule is quiet."""
    replay = _Replay(rule.definition, trace, stop)

    def is_quiet(**changes: float | timedelta) -> bool:
        return replay.episodes(replace(rule.definition, **changes), found.most) <= found.most  # type: ignore[arg-type]

    values = _milder(rule.definition, metric, trace)
    place = bisect_left(values, True, key=lambda value: is_quiet(threshold=value))
    nearer = range(max(0, place - NEARER), place)  # a long episode may fall to pieces before it is gone
    place = next((near for near in nearer if is_quiet(threshold=values[near])), place)
    every = rule.definition.every
    lengths = [every * number for number in range(1, LONGEST_FOR // every + 1) if every * number > rule.definition.for_]
    length = bisect_left(lengths, True, key=lambda length: is_quiet(for_=length))
    options = []
    threshold = values[place] if place < len(values) else None
    if threshold is not None:
        options.append(f"--threshold {_rounded(threshold, down=rule.definition.operator in ('lt', 'le')):.10g}")
    longer = format_duration(lengths[length]) if length < len(lengths) else None
    if longer is not None:
        options.append(f"--for {longer}")
    return Quieter(threshold, longer, tuple(options))


def _rounded(value: float, *, down: bool) -> float:
    """Four digits, and no nearer to the values that are usual."""
    if not value:
        return value
    digits = 3 - math.floor(math.log10(abs(value)))
    shifted = value * 10.0**digits
    return (math.floor(shifted) if down else math.ceil(shifted)) / 10.0**digits


def _milder(definition: Definition, metric: Metric, trace: Trace) -> Sequence[float]:
    """The observed values beyond the threshold, the nearest first: thresholds that fewer of them pass."""
    judged = [outcome for found in trace.values() for _, outcome in found if outcome.value is not None]
    if definition.operator in ("eq", "ne") or _depends(definition, metric, judged):
        return []
    scores = {_score(definition, outcome) for outcome in judged if outcome.kind is None}
    below = definition.operator in ("lt", "le")
    beyond = {score for score in scores if (score < definition.threshold if below else score > definition.threshold)}
    return sorted(beyond, reverse=below)


def _depends(definition: Definition, metric: Metric, judged: Sequence[Outcome]) -> bool:
    """Whether what can be judged at all hangs on the threshold: quantiles of few images."""
    few = metric.quantile and definition.min_samples is None
    return bool(few) and any((outcome.n or 0) < metric.min_samples for outcome in judged)


def _score(definition: Definition, outcome: Outcome) -> float:
    """What is compared with the threshold."""
    value = outcome.value if outcome.compared is None else outcome.compared
    if value is None:
        return math.nan
    if definition.operator != "anomaly":
        return value
    return {"up": value, "down": -value}.get(definition.direction, abs(value))


class _Replay:
    """The episodes of a rule with a milder threshold or a longer `for`: only what breached before matters."""

    def __init__(self, definition: Definition, trace: Trace, stop: Callable[[], None]) -> None:
        self.every = definition.every
        self.stop = stop
        self.series = [
            (found, [place for place, (_, o) in enumerate(found) if machine.breach(definition, o, firing=False)])
            for found in trace.values()
        ]

    def episodes(self, definition: Definition, most: int) -> int:
        """So many episodes; counted no further than one more than `most`."""
        count = 0
        for found, breaches in self.series:
            place, last, instance = 0, None, Instance("")
            while (following := bisect_left(breaches, place)) < len(breaches):
                place = breaches[following]
                if not machine.breach(definition, found[place][1], firing=False):
                    place += 1
                    continue
                while place < len(found):
                    self.stop()
                    slot, outcome = found[place]
                    place += 1
                    if last is not None and slot - last > self.every:
                        instance = Instance("")  # it was forgotten meanwhile
                    instance, events = machine.step(instance, definition, slot, outcome)
                    last = slot
                    count += any(event.kind == "firing" for event in events)
                    if count > most:
                        return count
                    if instance.condition == "ok":
                        break
        return count
