"""Instances that fire again and again: told once that they flap, and once when they are steady. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from detmon.alerts import machine
from detmon.alerts.machine import Event, Flap, Instance
from detmon.times import format_duration, parse_duration

CHANGES = ("pending", "firing", "cleared", "resolved")
"""Events that are a change of condition."""


def follow(instance: Instance, limit: str, slot: datetime, events: Sequence[Event]) -> tuple[Instance, list[Event]]:
    """The instance after `slot`, whose events are given, and whether it began or ceased to flap.

    `limit` is N/D or off: the Nth firing within D, that one included, is flapping; D without a change ends it.
    """
    if limit == "off":
        return (replace(instance, flap=Flap()) if instance.flap != Flap() else instance), []
    if not events and instance.flap.since is None:
        return instance, []
    times, _, length = limit.partition("/")
    within = parse_duration(length)
    flap = instance.flap
    if any(event.kind in CHANGES for event in events):
        flap = replace(flap, changed=slot)
    if any(event.kind == "firing" for event in events):
        flap = replace(flap, fired=(*(fired for fired in flap.fired if slot - fired < within), slot))
        if flap.since is None and len(flap.fired) >= int(times):
            flap = replace(flap, since=slot)
            return _told(instance, flap, "flapping", slot, _remedy(flap.fired, within))
    elif flap.since is not None and flap.changed is not None and slot - flap.changed >= within:
        return _told(instance, Flap(), "stable", slot, "firing" if instance.condition == "firing" else "ok")
    return (replace(instance, flap=flap) if flap != instance.flap else instance), []


def episode(instance: Instance) -> str | None:
    """The id of the stretch of flapping, None for a steady instance."""
    return None if instance.flap.since is None else f"{instance.key}.flapping.{instance.flap.since.isoformat()}Z"


def remedy(instance: Instance, limit: str) -> str:
    """What would help an instance that flaps beyond `limit`, in numbers."""
    return _remedy(instance.flap.fired, parse_duration(limit.partition("/")[2]))


def close(instance: Instance, slot: datetime, reason: str) -> list[Event]:
    """The events with which an instance ends, also those of the machine."""
    events = machine.close(instance, slot, reason)
    if instance.flap.since is not None:
        events.append(Event("closed", slot, instance.value, instance.n, reason, episode(instance)))
    return events


def _told(instance: Instance, flap: Flap, kind: str, slot: datetime, reason: str) -> tuple[Instance, list[Event]]:
    after = replace(instance, flap=flap)
    began = instance.fired_at or instance.flap.since
    event = Event(kind, slot, instance.value, instance.n, reason, episode(after) or episode(instance), began)
    return after, [event]


def _remedy(fired: Sequence[datetime], within: timedelta) -> str:
    longest = max((later - earlier for earlier, later in pairwise(fired)), default=within)
    return (
        f"fired {len(fired)} times within {format_duration(within)}; "
        f"--keep-firing-for {format_duration(longest)} would have made it one episode"
    )
