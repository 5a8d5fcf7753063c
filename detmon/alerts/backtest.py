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
from detmon.alerts.machine import Instance, Outcome
from detmon.alerts.rules import Rule
from detmon.alerts.slots import Due
from detmon.metrics import Labels, Metric
from detmon.records import Record
from detmon.store import Connection, statement
from detmon.times import Period, floor_slot, parse_duration

LONGEST = timedelta(days=28)
"""So much of the newest data is replayed unless a period is given."""
WEEK = timedelta(days=7)

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

    def __str__(self) -> str:
        return f"at most once in 28 days with {' or '.join(self.options)}" if self.options else ""


@dataclass(frozen=True)
class Backtest(Record):
    """What a rule would have done at the slots after `start` up to `end`; `per_week` None: none was evaluated.

    `evaluations`: slots, but for those at which an anomaly was still learning; `judged`: those at which some label set
    had a value to judge. `quieter`: given for more than one episode a week.
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
    quieter: Quieter | None = None

    @property
    def summary(self) -> str:
        """How often it would have fired, in a sentence's words."""
        if self.per_week is None:
            return "nothing to replay: the model has no predictions then" if self.start is None else "still learning"
        length = self.evaluations * parse_duration(self.every)
        if self.per_week == 0 and not self.judged:
            reasons = Counter(stretch.reason for stretch in (*self.errors, *self.no_data))
            return f"could not have been judged in {_words(length)}: {reasons.most_common(1)[0][0]}"
        count = len(self.episodes)
        if not count:
            return f"would not have fired in {_words(length)}"
        times = "once" if count == 1 else f"{count:,} times"
        return f"would have fired {times} in {_words(length)} ({self.per_week:.2g} a week)"


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
    evaluated = _count(trace, lambda outcome: outcome.reason != "learning")
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
        judged=_count(trace, lambda outcome: outcome.kind is None),
        episodes=episodes,
        per_week=len(episodes) * WEEK / (evaluated * rule.definition.every) if evaluated else None,
        no_data=tuple(_stretches(trace, "no_data")),
        errors=tuple(_stretches(trace, "error")),
    )
    return result, trace


def _count(trace: Trace, holds: Callable[[Outcome], bool]) -> int:
    """The slots at which `holds` is true of some label set."""
    return len({slot for found in trace.values() for slot, outcome in found if holds(outcome)})


def _words(length: timedelta) -> str:
    days = length / timedelta(days=1)
    return f"{days:.0f} days" if days >= 2 else f"{length / timedelta(hours=1):.3g} hours"


def _episodes(happened: Sequence[Happened], last: Mapping[Labels, Instance]) -> Iterator[Episode]:
    """The episodes in the order in which they began."""
    ends = {h.event.episode_id: h.event for h in happened if h.event.kind in ("resolved", "closed")}
    for h in happened:
        if h.event.kind == "firing":
            labels, end = h.instance.labels, ends.get(h.event.episode_id)
            peak = end.peak if end else last[labels].peak
            yield Episode(h.event.slot, end.slot if end else None, dict(labels), peak)


def _stretches(trace: Trace, kind: str) -> Iterator[Stretch]:
    found = []
    for labels, outcomes in trace.items():
        stretches = groupby(outcomes, key=lambda at: at[1].reason if at[1].kind == kind else None)
        starts = [(next(slots)[0], reason) for reason, slots in stretches]
        ends = [*(start for start, _ in starts[1:]), None]
        found += [
            Stretch(start, end, dict(labels), reason)
            for (start, reason), end in zip(starts, ends, strict=True)
            if reason is not None
        ]
    yield from sorted(found, key=lambda stretch: (stretch.start, sorted(stretch.labels.items())))
