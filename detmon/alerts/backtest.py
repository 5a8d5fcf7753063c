"""How often a rule would have fired: all slots of a past period, from an empty state, through the code of the check."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import TypeAlias

from detmon.alerts.evaluation import Evaluated, Facts, evaluate_rule
from detmon.alerts.instances import Happened
from detmon.alerts.machine import LEARNING, Instance, Outcome
from detmon.alerts.rules import Definition, Rule
from detmon.alerts.slots import Due
from detmon.metrics import Labels, Metric
from detmon.metrics.usual import scale_of
from detmon.records import Record
from detmon.store import Connection, statement
from detmon.times import Period, floor_slot, parse_duration

LONGEST = timedelta(days=28)
"""So much of the newest data is replayed unless a period is given."""
WEEK = timedelta(days=7)
OFTEN = 1.0
"""More episodes a week are worth a warning."""
SHORTEST = timedelta(days=1)
"""What is found in less says nothing of a week."""
SELDOM = 0.5
"""Where a smaller share of the slots could be judged, or have fired at all, it is said."""

Trace: TypeAlias = Mapping[Labels, Sequence[tuple[datetime, Outcome]]]
"""What each slot found for each label set."""


@dataclass(frozen=True)
class Episode(Record):
    """One stay in firing; `end` None: it lasted to the end. `peak`: the value farthest beyond the threshold."""

    start: datetime
    end: datetime | None
    labels: Mapping[str, str]
    peak: float | None


@dataclass(frozen=True)
class Stretch(Record):
    """Slots in a row for which a label set could not be judged, and why; `end` None: it lasted to the end."""

    start: datetime
    end: datetime | None
    labels: Mapping[str, str]
    reason: str


@dataclass(frozen=True)
class Quieter(Record):
    """What would have let a rule fire at most once in 28 days; None: nothing does, or it cannot be told.

    `threshold`: the observed value nearest to the rule's; `for_`: the shortest; `options`: how to say either.
    """

    threshold: float | None
    for_: str | None
    options: tuple[str, ...]


@dataclass(frozen=True)
class Backtest(Record):
    """What a rule would have done at the slots after `start` up to `end`; `per_week` None: none was evaluated.

    `evaluations`: slots, but for those at which an anomaly was still learning; `judged`: those at which some label set
    had a value to judge. `blind`: the share of an anomaly's verdicts at which no value at all would have been a breach.
    `quieter`: given for more than one episode a week, where there was more than one.
    """

    alert: str
    model_id: str
    metric: str
    operator: str
    threshold: float
    window: str
    every: str
    start: datetime | None
    end: datetime | None
    evaluations: int
    judged: int
    episodes: tuple[Episode, ...]
    per_week: float | None
    no_data: tuple[Stretch, ...]
    errors: tuple[Stretch, ...]
    blind: float | None = None
    quieter: Quieter | None = None

    @property
    def summary(self) -> str:
        """How often it would have fired, in a sentence's words."""
        if self.per_week is None:
            return "nothing to replay: the model has no predictions then" if self.start is None else "still learning"
        length, count = self.length, len(self.episodes)
        if not count and not self.judged:
            return f"could not have been judged in {_words(length)}: {self._hindrance}"
        times = "once" if count == 1 else f"{count:,} times"
        said = f"would have fired {times}" if count else "would not have fired"
        said += f" in {_words(length)}"
        if count and length >= SHORTEST:
            said += f" ({self.per_week:.2g} a week)"
        if self.judged < SELDOM * self.evaluations:
            said += f", though only {self.judged:,} of {self.evaluations:,} slots could be judged: {self._hindrance}"
        if self.is_blind:
            share = 100 * (self.blind or 0)
            said += f"; at {share:.0f} % of its verdicts no value could have: so few samples vary too much"
            said += ", a longer --window would help"
        return said

    @property
    def is_blind(self) -> bool:
        """Whether an anomaly hardly ever can fire."""
        return self.blind is not None and self.blind > SELDOM

    @property
    def length(self) -> timedelta:
        """How long the evaluated slots are in all."""
        return self.evaluations * parse_duration(self.every)

    @property
    def most(self) -> int:
        """So many episodes are few: one in 28 days, or in all."""
        return max(1, self.length // LONGEST)

    @property
    def is_loud(self) -> bool:
        """Whether it would have fired too often."""
        return self.per_week is not None and self.per_week > OFTEN and len(self.episodes) > self.most

    @property
    def advice(self) -> str:
        """What would have been quieter, in words; empty where nothing is known."""
        if self.quieter is None or not self.quieter.options:
            return ""
        return f"at most once in {_words(min(self.length, LONGEST))} with {' or '.join(self.quieter.options)}"

    def lasted(self, stretch: Stretch) -> timedelta:
        """How long a stretch was; one that is open lasted through the last slot."""
        if stretch.end is not None or self.end is None:
            return (stretch.end or stretch.start) - stretch.start
        return self.end + parse_duration(self.every) - stretch.start

    @property
    def _hindrance(self) -> str:
        """The reason why most could not be judged."""
        lengths: Counter[str] = Counter()
        for stretch in (*self.errors, *self.no_data):
            lengths[stretch.reason] += int(self.lasted(stretch).total_seconds())
        return lengths.most_common(1)[0][0] if lengths else "no label set had rows"


def slots_of(con: Connection, rule: Rule, now: datetime, period: Period | None = None) -> list[datetime]:
    """The slots of a period, or of the last 28 days of the model's data: those after its start, up to its end.

    Slots later than `now` and before the first image are left out; there may be none.
    """
    every, (first, last) = rule.definition.every, _data(con, rule.model_id, now)
    if first is None or last is None:
        return []
    end = min(rule.newest_slot(now), floor_slot(last, every) + every)
    start = max(floor_slot(first, every), end - LONGEST)
    if period is not None:
        end, start = min(end, floor_slot(period.end, every)), max(floor_slot(first, every), period.start)
    begin = floor_slot(start, every) + every
    return [begin + every * number for number in range((end - begin) // every + 1)]


def _data(con: Connection, model_id: str, now: datetime) -> tuple[datetime | None, datetime | None]:
    """The model's first and last image, of those until `now`."""
    first, last = con.execute(statement("model_span"), {"model": model_id, "now": now}).fetchall()[0]
    return first, last


def backtest(
    con: Connection,
    catalogue: Mapping[str, Metric],
    rule: Rule,
    slots: Sequence[datetime],
    stop: Callable[[], None] = lambda: None,
) -> tuple[Backtest, Trace]:
    """What `rule` would have done at `slots` (some, in order), and what each of them found.

    Nothing is written. `stop` is called at every step and may end it by raising.
    """
    trace: dict[Labels, list[tuple[datetime, Outcome]]] = defaultdict(list)

    def watch(labels: Labels, slot: datetime, outcome: Outcome) -> None:
        stop()
        trace[labels].append((slot, outcome))

    con.execute("SET enable_progress_bar = false")
    due = Due(rule, tuple(slots))
    done = evaluate_rule(due, Facts(con, catalogue, [due]), {}, watch) if slots else Evaluated(due, None, {})
    said = rule.definition.to_dict()
    episodes = tuple(_episodes(done.happened, done.instances))
    evaluated = len(slots) - _count_learning(trace)
    result = Backtest(
        alert=rule.name,
        model_id=rule.model_id,
        metric=rule.definition.metric,
        operator=rule.definition.operator,
        threshold=rule.definition.threshold,
        window=said["window"],
        every=said["every"],
        start=slots[0] - rule.definition.every if slots else None,
        end=slots[-1] if slots else None,
        evaluations=evaluated,
        judged=len(_slots(trace, lambda outcome: outcome.kind is None)),
        episodes=episodes,
        per_week=len(episodes) * WEEK / (evaluated * rule.definition.every) if evaluated else None,
        no_data=tuple(_stretches(trace, due, "no_data")),
        errors=tuple(_stretches(trace, due, "error")),
        blind=_blind(rule.definition, catalogue.get(rule.definition.metric), trace),
    )
    return result, trace


def _slots(trace: Trace, holds: Callable[[Outcome], bool]) -> set[datetime]:
    """The slots at which `holds` is true of some label set."""
    return {slot for found in trace.values() for slot, outcome in found if holds(outcome)}


def _count_learning(trace: Trace) -> int:
    """The slots at which nothing but too short a history was found."""
    return len(_slots(trace, lambda o: o.reason == LEARNING) - _slots(trace, lambda o: o.reason != LEARNING))


def _blind(definition: Definition, metric: Metric | None, trace: Trace) -> float | None:
    """The share of verdicts on values between 0 and 1 whose bounds are 0 and 1, on the side that counts."""
    scored = [outcome.detail for found in trace.values() for _, outcome in found if "z" in outcome.detail]
    if metric is None or not scored or scale_of(metric) != "share":
        return None
    down, up = definition.direction != "up", definition.direction != "down"
    seen = [one for one in scored if (down and one["low"] > 0) or (up and one["high"] < 1)]
    return 1 - len(seen) / len(scored)


def _words(length: timedelta) -> str:
    for unit, size in (("days", timedelta(days=1)), ("hours", timedelta(hours=1)), ("minutes", timedelta(minutes=1))):
        if length >= 2 * size:
            count = length / size
            return f"{count:.0f} {unit}" if unit == "days" else f"{count:.3g} {unit}"
    return f"{length.total_seconds():.3g} seconds"


def _episodes(happened: Sequence[Happened], last: Mapping[Labels, Instance]) -> Iterator[Episode]:
    """The episodes in the order in which they began."""
    ends = {h.event.episode_id: h.event for h in happened if h.event.kind in ("resolved", "closed")}
    for h in happened:
        if h.event.kind == "firing":
            labels, end = h.instance.labels, ends.get(h.event.episode_id)
            peak = end.peak if end else last[labels].peak
            yield Episode(h.event.slot, end.slot if end else None, dict(labels), peak)


def _stretches(trace: Trace, due: Due, kind: str) -> Iterator[Stretch]:
    """What ended with its label set, which was forgotten, has an end, too."""
    found, every = [], due.rule.definition.every
    for labels, outcomes in trace.items():
        for reason, group in groupby(outcomes, key=lambda at: at[1].reason if at[1].kind == kind else None):
            slots = [slot for slot, _ in group]
            end = None if slots[-1] == due.slots[-1] else slots[-1] + every
            if reason is not None:
                found.append(Stretch(slots[0], end, dict(labels), reason))
    yield from sorted(found, key=lambda stretch: (stretch.start, sorted(stretch.labels.items())))
