"""The two arms of a test: what its units are, which of them count, and what each arm looks like."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from detmon.ab_tests import evidence as taken
from detmon.ab_tests import reading
from detmon.ab_tests.definition import Comparison
from detmon.ab_tests.evidence import ByRow, ByUnit, Evidence, Paired
from detmon.ab_tests.reading import Cell, Latencies, Scope, Units
from detmon.ab_tests.records import ABArm
from detmon.stats import comparison, guardrails
from detmon.stats.distances import js_distance
from detmon.stats.guardrails import Guardrail
from detmon.store import Connection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FAR = 0.1
"""Confidences, or sources, so far apart (Jensen-Shannon distance) are called different."""
FLOOR_STEP = 20_000
"""Millionths: unlogged floors are different when the lowest confidences are so far apart."""
LOWEST = 0.001
NO_CHANCE = 5
"""So many standard deviations of a count fewer low confidences than the other arm lets expect are no chance."""
STRAY_SHARE, STRAY_UNITS = 0.001, 10
"""More units than these in both arms: the routing does not stick."""

Warn = Callable[..., None]


@dataclass(frozen=True)
class Arms:
    """What is compared, in which scope; `stray` units, which both arms served, are left out of it.

    `guessed_floor`: boxes are cut at a confidence that no log names; a model that drops boxes looks like that, too.
    """

    evidence: Evidence
    scope: Scope
    stray: frozenset[str]
    summary: tuple[ABArm, ABArm]
    unknown_denominator: bool
    guessed_floor: bool


def make(con: Connection, scope: Scope, cells: Sequence[Cell], test: Comparison, warn: Warn) -> Arms:
    """Find out how the arms were served, and read what the comparison needs; `cells` are all sums of `scope`."""
    part = reading.part_of(sum(cell.counts["rows"] for cell in cells))
    images = reading.images(con, scope, part)
    if images.shadow:
        scope = replace(scope, common=True)
    else:
        scope = _routed(scope, _images_by_source(cells), test.definition.traffic_split, warn)
        if test.assigned:
            _compare_with_the_hash(con, scope, test, part, warn)
    stray: frozenset[str] = frozenset()
    if scope.unit == "image_id" and not images.repeated:
        evidence: Evidence = ByRow(cells, reading.latencies(con, scope))
    else:
        units = reading.units(con, scope)
        latencies = reading.latencies(con, scope, units.names)
        if units.without:
            warn("rows_without_unit", f"{units.without:,} predictions have no value of the unit and are left out")
        if images.shadow:
            evidence = Paired(units, latencies)
        else:
            stray = _in_both(units, warn)
            evidence = _by_unit(con, scope, units, latencies, stray)
    unknown = any(cell.unknown for cell in cells)
    guessed = scope.floor is not None and any(cell.floor_low is None for cell in cells)
    return Arms(evidence, scope, stray, _summaries(scope, evidence, unknown=unknown), unknown, guessed)


# --- units ---------------------------------------------------------------------------------------------------------


def _images_by_source(cells: Sequence[Cell]) -> dict[str, tuple[int, int]]:
    """The images of each source in A and in B."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for cell in cells:
        if cell.source is not None:
            found[cell.source][cell.b] += cell.counts["rows"]
    return {source: (a, b) for source, (a, b) in found.items()}


def _compare_sources(by_source: Mapping[str, tuple[int, int]], warn: Warn) -> None:
    """Say so when the arms saw the sources in other shares than chance explains."""
    arms = [[pair[b] for pair in by_source.values()] for b in (0, 1)]
    distance = js_distance(*arms)
    if distance is None:
        return
    noise = math.sqrt((len(by_source) - 1) / (8 * math.log(2)) * sum(1 / sum(arm) for arm in arms))
    if distance >= max(FAR, 2 * noise):
        warn("source_mix_differs", f"the arms saw the sources in different shares (distance {distance:.2f})")


def _routed(scope: Scope, by_source: Mapping[str, tuple[int, int]], split: float, warn: Warn) -> Scope:
    """The scope with the unit that was routed: looks at whole sources are daily."""
    if scope.unit != "image_id":
        return scope
    if not comparison.routed_by_source(list(by_source.values()), split):
        _compare_sources(by_source, warn)
        return scope
    warn("unit_is_source", "whole sources were routed, not images: the unit is the source")
    days = (scope.until - scope.start) // reading.DAY
    return replace(scope, unit="source", slot=reading.DAY, until=scope.start + days * reading.DAY)


def _compare_with_the_hash(con: Connection, scope: Scope, test: Comparison, part: int, warn: Warn) -> None:
    share = reading.misrouted(con, scope, test.id, test.definition.traffic_split, part)
    if share > STRAY_SHARE:
        warn("misrouted", f"{share:.1%} of the units were not served by the model that `ab assign` names")


def _in_both(units: Units, warn: Warn) -> frozenset[str]:
    """The units that both arms served, which are left out."""
    import numpy as np

    both = np.intersect1d(units.unit[units.b], units.unit[~units.b])
    if not both.size:
        return frozenset()
    told = f"{both.size:,} of {len(units.names):,} units were served by both models and are left out"
    many = both.size > STRAY_UNITS and both.size > STRAY_SHARE * len(units.names)
    warn("not_sticky" if many else "stray_units", told, withholds=many)
    return frozenset(units.names[place] for place in both.tolist())


def _by_unit(con: Connection, scope: Scope, units: Units, latencies: Latencies, stray: frozenset[str]) -> ByUnit:
    import numpy as np

    left_out = np.array([place for place, name in enumerate(units.names) if name in stray], np.int64)
    sums = units.kept(~np.isin(units.unit, left_out))
    own = latencies.kept(~np.isin(latencies.unit, left_out))
    return ByUnit(sums, own, {} if scope.unit == "image_id" else _before(con, scope, sums))


def _before(con: Connection, scope: Scope, sums: Units) -> dict[str, tuple[Floats, Floats]]:
    """Model A's sums of every unit in the week before, by metric; empty where a unit has none."""
    import numpy as np

    week = reading.before(scope)
    earlier = reading.units(con, week)
    place = {name: number for number, name in enumerate(sums.names)}
    code = np.array([place.get(name, -1) for name in earlier.names], np.int64)
    known = ~earlier.b & (code[earlier.unit] >= 0) if len(earlier.unit) else np.zeros(0, bool)
    where = code[earlier.unit[known]] if known.size else np.zeros(0, np.int64)
    present = np.bincount(where, minlength=len(sums.names)) > 0
    if not present[np.unique(sums.unit)].all():
        return {}
    summed = {
        name: np.bincount(where, values[known], len(sums.names)).astype(float)
        for name, values in earlier.values.items()
    }
    found = {metric: (summed[y], summed[x]) for metric, (y, x) in reading.PAIRS.items()}
    logged = reading.latencies(con, week, sums.names)
    logged = logged.kept(~logged.b)
    if logged.n.size:
        clipped = taken.clipped(logged)
        pair = (np.bincount(logged.unit, part, len(sums.names)).astype(float) for part in (clipped, logged.n))
        found["avg_latency_ms"] = (next(pair), next(pair))
    return found


# --- what an arm looks like ----------------------------------------------------------------------------------------


def _summaries(scope: Scope, evidence: Evidence, *, unknown: bool) -> tuple[ABArm, ABArm]:
    models, units, totals = (scope.a, scope.b), evidence.units(scope.slots), evidence.totals()
    a, b = (
        _summary(models[place], units[place], totals[place], evidence.latencies.arm(bool(place)), unknown=unknown)
        for place in (0, 1)
    )
    return a, b


def _summary(model: str, units: int, total: Mapping[str, float], latencies: Latencies, *, unknown: bool) -> ABArm:
    n = float(latencies.n.sum())
    p50, p95, p99 = (taken.latency_quantile(latencies, q) for q in (0.50, 0.95, 0.99))
    return ABArm(
        model_id=model,
        units=units,
        predictions=int(total["rows"]),
        detections=int(total["detections"]),
        avg_confidence=total["confidence"] / total["scored"] if total["scored"] else None,
        avg_latency_ms=float(latencies.s.sum()) / n / 1e3 if n else None,
        p50_latency_ms=p50,
        p95_latency_ms=p95,
        p99_latency_ms=p99,
        detections_per_image=total["detections"] / total["images"] if total["images"] and not unknown else None,
    )


def latency_guardrail(latencies: Latencies) -> Guardrail | None:
    """B's latencies against 1.1 times A's p95; None where either arm has none."""
    a, b = latencies.arm(False), latencies.arm(True)
    p95 = taken.latency_quantile(a, 0.95)
    if p95 is None or not b.n.size:
        return None
    limit = taken.bucket_of(guardrails.LATENCY_LIMIT * p95)
    n_a, n_b = float(a.n.sum()), float(b.n.sum())
    return guardrails.latency_not_higher(float(b.n[b.bucket > limit].sum()) / n_b, n_a, n_b)


# --- confidences ---------------------------------------------------------------------------------------------------


def floor_to_cut(cells: Sequence[Cell], histograms: Mapping[bool, Sequence[int]]) -> int | None:
    """The floor, in millionths, below which both arms' boxes are left out; None where the arms log alike.

    Logged floors decide; without them the lowest confidences, where an arm lacks more low ones than chance explains.
    """
    floors = [
        [value for cell in cells if cell.b == b for value in (cell.floor_low, cell.floor_high) if value is not None]
        for b in (False, True)
    ]
    if all(floors):
        values = [round(value * 1e6) for arm in floors for value in arm]
        return max(values) if max(values) != min(values) else None
    if not all(sum(histograms[b]) for b in (False, True)):
        return None
    lowest = {b: _lowest(histograms[b]) for b in (False, True)}
    low, high = sorted(lowest, key=lambda b: lowest[b])
    if lowest[high] - lowest[low] <= FLOOR_STEP:
        return None
    below = {b: sum(histograms[b][: lowest[high] // 1000]) for b in (False, True)}
    due = below[low] / sum(histograms[low]) * sum(histograms[high])
    return lowest[high] if due - below[high] >= NO_CHANCE * math.sqrt(due) else None


def _lowest(histogram: Sequence[int]) -> int:
    """The confidence, in millionths, that 0.1 % of the boxes do not reach."""
    need, below = LOWEST * sum(histogram), 0
    for place, count in enumerate(histogram):
        below += count
        if below and below >= need:
            return place * 1000
    return 0


def scale_distance(histograms: Mapping[bool, Sequence[int]], floor: int | None) -> float | None:
    """How far apart the arms' confidences are distributed, in 20 bins above the common floor."""
    first = (floor or 0) // 1000
    sides = []
    for b in (False, True):
        kept = [count if place >= first else 0 for place, count in enumerate(histograms[b])]
        sides.append([sum(kept[place : place + 50]) for place in range(0, 1000, 50)])
    return js_distance(*sides)
