"""The state machine of one instance (one label set of one rule): pure, one slot a step.

Two axes: `condition` (ok → pending → firing → ok) and `health` (ok, no_data, error). Missing data is no evidence: what
it does to the condition is the rule's policy, by default it holds a firing instance and takes back a pending one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

EQUAL_WITHIN = 5e-7
"""Values that differ by less, relatively, are equal: confidence and latency are stored as FLOAT."""
LEARNING = "learning"
"""The reason of missing data where there is data, but not yet enough history to judge it: never told."""
SHOWN_EVENTS = (
    "firing", "resolved", "closed", "no_data", "no_data_resolved", "error", "error_resolved", "flapping", "stable",
)  # fmt: skip
"""What `alert check` reports; `pending` and `cleared` are history only."""


class Behaviour(Protocol):
    """What the machine needs to know of a rule."""

    @property
    def operator(self) -> str: ...
    @property
    def threshold(self) -> float: ...
    @property
    def direction(self) -> str: ...
    @property
    def relative_to(self) -> str | None: ...
    @property
    def recover_threshold(self) -> float | None: ...
    @property
    def for_(self) -> timedelta: ...
    @property
    def keep_firing_for(self) -> timedelta: ...
    @property
    def no_data(self) -> str: ...
    @property
    def no_data_for(self) -> timedelta: ...
    @property
    def on_error(self) -> str: ...
    @property
    def error_for(self) -> timedelta: ...


@dataclass(frozen=True)
class Outcome:
    """What a slot found for a label set: a value, or `kind` no_data or error with a reason.

    `rows`: the label set had some. `hint`: what would help, for people. `compared`: what is compared with the threshold
    where that is not the value: its score, or its change from the baseline; `detail` says what from.
    """

    value: float | None = None
    n: int | None = None
    kind: str | None = None
    reason: str | None = None
    rows: bool = True
    hint: str | None = None
    compared: float | None = None
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """A change at a slot. `episode_id` is that of the stay in `firing`, or of the health stretch."""

    kind: str
    slot: datetime
    value: float | None = None
    n: int | None = None
    reason: str | None = None
    episode_id: str | None = None
    fired_at: datetime | None = None
    peak: float | None = None
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Flap:
    """When an instance fired lately, since when it flaps, and when its condition last changed."""

    fired: tuple[datetime, ...] = ()
    since: datetime | None = None
    changed: datetime | None = None


@dataclass(frozen=True)
class Instance:
    """The state of one label set of one rule after `last_slot`."""

    key: str
    labels: tuple[tuple[str, str], ...] = ()
    condition: str = "ok"
    active_since: datetime | None = None
    fired_at: datetime | None = None
    recovering_since: datetime | None = None
    episode_id: str | None = None
    peak: float | None = None
    health: str = "ok"
    health_since: datetime | None = None
    health_reason: str | None = None
    told: str | None = None
    health_episode_id: str | None = None
    ever: bool = False
    """Had a value once."""
    state: str = "ok"
    """What is shown (`shown`)."""
    state_since: datetime | None = None
    value: float | None = None
    n: int | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    last_slot: datetime | None = None
    last_data_slot: datetime | None = None
    flap: Flap = Flap()
    held_by: str | None = None
    """What held its notices back at the last check."""


def step(before: Instance, rule: Behaviour, slot: datetime, outcome: Outcome) -> tuple[Instance, list[Event]]:
    """The instance after `slot`, and what happened."""
    if _is_quiet(before) and outcome.kind is None and breach(rule, outcome, firing=False) is False:
        after = changed(before, value=outcome.value, n=outcome.n, detail=_detail(outcome), last_slot=slot)
        return (changed(after, last_data_slot=slot) if outcome.rows else after), []
    machine = _Step(before, rule, slot, outcome)
    machine.health()
    machine.condition()
    machine.announce()
    return machine.finished(), machine.events


def breaks(operator: str, value: float, threshold: float) -> bool:
    """Whether `value` OPERATOR `threshold` holds, equal within `EQUAL_WITHIN`."""
    equal = abs(value - threshold) <= EQUAL_WITHIN * max(abs(value), abs(threshold))
    if operator in ("eq", "ne"):
        return equal == (operator == "eq")
    if equal:
        return operator in ("le", "ge")
    return value < threshold if operator in ("lt", "le") else value > threshold


def is_breach(rule: Behaviour, value: float, *, firing: bool) -> bool:
    """Whether what is compared breaches; a firing instance is judged against `recover_threshold` too.

    An anomaly goes on while its score is far from 0, whatever its sign.
    """
    recover = rule.recover_threshold if firing else None
    if rule.operator == "anomaly":
        score = {"up": value, "down": -value}.get(rule.direction, abs(value))
        return score >= rule.threshold or (recover is not None and abs(value) >= recover)
    whole = 1.0 if rule.relative_to else 0.0  # a change of -0.1 is the value 0.9: "equal" means the same as elsewhere
    if breaks(rule.operator, value + whole, rule.threshold + whole):
        return True
    return recover is not None and breaks(rule.operator, value + whole, recover + whole)


def breach(rule: Behaviour, outcome: Outcome, *, firing: bool) -> bool | None:
    """Whether an outcome is a breach; None where it is no evidence, so that the condition is held."""
    if outcome.kind is not None:
        return {"ok": False, "alerting": True}.get(policy(rule, outcome) or "")
    compared = outcome.value if outcome.compared is None else outcome.compared
    return None if compared is None else is_breach(rule, compared, firing=firing)


def policy(rule: Behaviour, outcome: Outcome) -> str | None:
    """What the rule says of an outcome that is no value."""
    if outcome.kind is None:
        return None
    said = rule.no_data if outcome.kind == "no_data" else rule.on_error
    if outcome.reason == LEARNING and said == "alerting":
        return "keep"  # data is there; what is usual is not known yet
    return said


def changed(instance: Instance, **fields: Any) -> Instance:
    """`dataclasses.replace` without its checks: a backtest takes a million steps."""
    after = object.__new__(Instance)
    after.__dict__.update(instance.__dict__, **fields)
    return after


def close(before: Instance, slot: datetime, reason: str) -> list[Event]:
    """The events with which an instance ends: one for an open episode, one for an announced health stretch."""
    ended = Event("closed", slot, before.value, before.n, reason)
    events = []
    if before.condition == "firing":
        events.append(replace(ended, episode_id=before.episode_id, fired_at=before.fired_at, peak=before.peak))
    if before.told:
        events.append(replace(ended, episode_id=before.health_episode_id))
    return events


def skip(before: Instance, slot: datetime) -> tuple[Instance, list[Event]]:
    """After slots that nobody evaluated: no evidence, so `pending` is taken back; `firing` is held."""
    if before.condition != "pending":
        return before, []
    state = "ok" if before.state == "pending" else before.state
    since = slot if state != before.state else before.state_since
    after = changed(before, condition="ok", active_since=None, state=state, state_since=since)
    return after, [Event("cleared", slot, reason="slots skipped")]


def _is_quiet(instance: Instance) -> bool:
    """Whether a further value that is no breach changes nothing but that value."""
    return instance.condition == instance.health == instance.state == "ok" and instance.ever


def _detail(outcome: Outcome) -> dict[str, Any]:
    return {**outcome.detail, "hint": outcome.hint} if outcome.hint else outcome.detail


class _Step:
    """One step in three parts; the order is health, condition, announcement."""

    def __init__(self, before: Instance, rule: Behaviour, slot: datetime, outcome: Outcome) -> None:
        self.now = before
        self.before = before
        self.rule = rule
        self.slot = slot
        self.outcome = outcome
        self.events: list[Event] = []
        self.policy = policy(rule, outcome)

    def emit(
        self, kind: str, reason: str | None = None, episode_id: str | None = None, since: datetime | None = None
    ) -> None:
        o, i = self.outcome, self.now
        fired_at = i.fired_at if kind in ("firing", "resolved") else since
        peak = i.peak if kind in ("firing", "resolved") else None
        self.events.append(
            Event(kind, self.slot, o.value, o.n, reason or o.reason, episode_id, fired_at, peak, o.detail)
        )

    def change(self, **fields: Any) -> None:
        self.now = changed(self.now, **fields)

    def health(self) -> None:
        kind, learning = self.outcome.kind, self.outcome.reason == LEARNING
        if self.now.told and (kind is None or learning):  # who learns has data again
            i = self.now
            since = i.health_since if i.health == i.told else None
            self.emit(f"{i.told}_resolved", i.health_reason, i.health_episode_id, since)
            self.change(told=None, health_episode_id=None)
        if kind is None:
            self.change(health="ok", health_since=None, health_reason=None, ever=True)
            return
        if self.now.health != kind or learning != (self.now.health_reason == LEARNING):
            self.change(health=kind, health_since=self.slot)
        self.change(health_reason=self.outcome.reason)

    def condition(self) -> None:
        found = breach(self.rule, self.outcome, firing=self.now.condition == "firing")
        if found is None:
            if self.policy == "no_data" and self.now.condition == "pending":
                self._clear()
        elif found:
            self._breached()
        else:
            self._recovered()

    def _breached(self) -> None:
        self.change(recovering_since=None)
        if self.now.condition == "ok":
            self.change(condition="pending", active_since=self.slot)
            self.emit("pending")
        since = self.now.active_since
        if self.now.condition == "pending" and since is not None and self.slot - since >= self.rule.for_:
            episode = f"{self.now.key}.{self.slot.isoformat()}Z"
            self.change(condition="firing", fired_at=self.slot, episode_id=episode, peak=self.outcome.value)
            self.emit("firing", episode_id=episode)
        elif self.now.condition == "firing":
            self.change(peak=_farther(self.rule, self.now.peak, self.outcome))

    def _recovered(self) -> None:
        if self.now.condition == "pending":
            self._clear()
        elif self.now.condition == "firing":
            since = self.now.recovering_since or self.slot
            self.change(recovering_since=since)
            if self.slot - since >= self.rule.keep_firing_for:
                self.emit("resolved", episode_id=self.now.episode_id)
                self.change(
                    condition="ok", active_since=None, fired_at=None, recovering_since=None, episode_id=None, peak=None
                )

    def _clear(self) -> None:
        self.change(condition="ok", active_since=None)
        self.emit("cleared")

    def announce(self) -> None:
        kind, since = self.outcome.kind, self.now.health_since
        if kind is None or since is None or self.policy != kind or self.now.told == kind:
            return
        if self.slot - since < _patience(self.rule, kind) or self.outcome.reason == LEARNING:
            return
        if self.now.told:
            self.emit(f"{self.now.told}_resolved", "superseded", self.now.health_episode_id)
        episode = f"{self.now.key}.{kind}.{self.slot.isoformat()}Z"
        self.change(told=kind, health_episode_id=episode)
        self.emit(kind, episode_id=episode)

    def finished(self) -> Instance:
        o = self.outcome
        state = shown(self.now, self.rule, self.slot)
        same = state == self.before.state and self.before.state_since is not None
        since = {"firing": self.now.fired_at, "pending": self.now.active_since}.get(
            state, self.now.health_since if state in ("no_data", "error") else None
        ) or (self.before.state_since if same else self.slot)
        return changed(
            self.now,
            state=state,
            state_since=since,
            value=o.value,
            n=o.n,
            detail=_detail(o),
            last_slot=self.slot,
            last_data_slot=self.slot if o.rows else self.now.last_data_slot,
        )


def shown(instance: Instance, rule: Behaviour, slot: datetime) -> str:
    """The state a user sees: firing; else a bad health that is the rule's policy to show; else the condition."""
    if instance.condition == "firing":
        return "firing"
    kind, since = instance.health, instance.health_since
    policy = rule.no_data if kind == "no_data" else rule.on_error
    if kind != "ok" and since is not None and policy == kind:
        waited = slot - since >= _patience(rule, kind)
        if waited or not instance.ever:
            return kind
    return instance.condition


def _patience(rule: Behaviour, kind: str) -> timedelta:
    return rule.no_data_for if kind == "no_data" else rule.error_for


def _farther(rule: Behaviour, peak: float | None, outcome: Outcome) -> float | None:
    """Of the peak so far and a value the one farther beyond the threshold."""
    value = outcome.value
    if peak is None or value is None:
        return value if peak is None else peak
    below = (outcome.compared or 0.0) < 0 if rule.operator == "anomaly" else rule.operator in ("lt", "le")
    if below:
        return min(peak, value)
    if rule.operator in ("gt", "ge", "anomaly"):
        return max(peak, value)
    return max(peak, value, key=lambda v: abs(v - rule.threshold))
