"""Sources (cameras, streams, sites): which fell silent, and whether their mix explains what moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from detmon.drift.compare import Comparison
from detmon.drift.records import SourceMix
from detmon.drift.windows import Window
from detmon.stats.blocks import DAY, Note
from detmon.stats.distances import js_distance
from detmon.store import statement
from detmon.times import parse_duration

REGULAR_IMAGES = 20
REGULAR_SHARE = 0.9
"""A regular source has so many images, and is in such a share of the reference's blocks."""
GAPS = 5
"""A source is silent after so many times its longest gap."""
MIX_MOVED = 0.1
"""From this distance on, the mix of sources is named as a cause, and the classes are compared without it."""


@dataclass(frozen=True)
class Silent:
    """The regular sources that fell silent, and what is to be said of them."""

    names: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()


def silent(found: Comparison, now: datetime) -> Silent:
    """The sources that were there all along in the reference, and are not there at the current period's end."""
    if found.choice.size is None or set(found.current.sources) <= {""}:
        return Silent()
    end = min(found.current.end, now, found.current.last)
    seen = _last_seen(found)
    longest = _length(found) / 24
    gaps = _gaps(found.reference)
    regular = _regular(found)
    quiet = [
        source
        for source in regular
        if end - min(seen[source], end) > min(DAY, max(GAPS * gaps.get(source, timedelta()), longest))
    ]
    if len(quiet) > len(regular) / 2:
        text = f"{len(quiet)} of {len(regular)} regular sources ended: they were replaced, none is silent."
        return Silent(notes=(Note("sources_replaced", text),))
    return Silent(tuple(quiet))


def none_silent(found: Comparison, now: datetime) -> Silent:
    """For checks that cannot tell: of logs of the same time, of one source."""
    return Silent()


def mix(found: Comparison, *, always: bool) -> SourceMix:
    """How far the sources' shares of the images moved, and the classes beyond that; nothing where none is named.

    The latter reads the rows: only where the mix moved, or `always`.
    """
    images = [window.sources for window in (found.reference, found.current)]
    if any(set(side) == {""} for side in images):
        return SourceMix(None, None)
    names = sorted({*images[0], *images[1]})
    moved = js_distance(*([side.get(name, 0) for name in names] for side in images)) if names else None
    pruned = found.reference.rows_pruned or found.current.rows_pruned
    if moved is None or pruned or not (always or moved >= MIX_MOVED):
        return SourceMix(moved, None)
    return SourceMix(moved, _same_mix(found, sorted(images[0].keys() & images[1].keys())))


def _same_mix(found: Comparison, shared: list[str]) -> float | None:
    """The class distance if each source had the reference's share of the detections."""
    sides = [window.source_classes() for window in (found.reference, found.current)]
    usable = [name for name in shared if name in sides[0] and name in sides[1]]
    labels = sorted({label for side in sides for name in usable for label in side[name]})
    reference = {name: sum(sides[0][name].values()) for name in usable}
    total = sum(reference.values())
    if not total:
        return None
    then = [sum(sides[0][name].get(label, 0) for name in usable) for label in labels]
    scale = {name: reference[name] / total / sum(sides[1][name].values()) for name in usable}
    now = [sum(scale[name] * sides[1][name].get(label, 0) for name in usable) for label in labels]
    return js_distance(then, now)


def _length(found: Comparison) -> timedelta:
    """The length of a block; nothing for blocks that are sources."""
    return timedelta() if found.choice.size in (None, "source") else parse_duration(str(found.choice.size))


def _regular(found: Comparison) -> list[str]:
    """The sources that have images enough and are in nearly every block of the reference."""
    images = found.reference.sources
    often = [source for source, count in images.items() if source and count >= REGULAR_IMAGES]
    if found.choice.size == "source":
        return often
    blocks = found.choice.reference
    present = found.reference.presence(blocks)
    return [source for source in often if present.get(source, 0) >= REGULAR_SHARE * len(blocks)]


def _last_seen(found: Comparison) -> dict[str, datetime]:
    """The last row of each source until the current period's end."""
    seen = _latest(found.reference)
    between = (found.reference.end, found.current.start)
    if found.reference.log.has_rollups and between[0] < between[1]:
        values = {"model": found.reference.log.model_id, "start": between[0], "end": between[1]}
        seen |= dict(found.reference.log.con.execute(statement("drift_last_seen"), values).fetchall())
    return seen | _latest(found.current)


def _latest(window: Window) -> dict[str, datetime]:
    """The last row of each source."""
    import numpy as np

    logged = window.logged
    latest = np.full(len(logged.names), np.datetime64(datetime.min, "us"))
    np.maximum.at(latest, logged.source, logged.last)
    return dict(zip(logged.names, latest.tolist(), strict=True))


def _gaps(window: Window) -> Mapping[str, timedelta]:
    """The longest gap of each source, from the first and last row of its hours, and how many lie between."""
    import numpy as np

    logged = window.logged
    order = np.lexsort((logged.hour, logged.source))
    source, first, last = logged.source[order], logged.first[order], logged.last[order]
    gaps = (last - first) // (logged.images + logged.errors)[order]
    follows = source[1:] == source[:-1]
    gaps[1:][follows] = np.maximum(gaps[1:], first[1:] - last[:-1])[follows]
    longest = np.zeros(len(logged.names), "timedelta64[us]")
    np.maximum.at(longest, source, gaps)
    return dict(zip(logged.names, longest.tolist(), strict=True))
