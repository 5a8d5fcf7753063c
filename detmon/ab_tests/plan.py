"""How long a test must run to find an effect, from the model's own last weeks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from detmon.ab_tests import reading
from detmon.ab_tests.definition import METRICS, Definition
from detmon.ab_tests.evidence import clip_of, clipped, clipped_sums
from detmon.ab_tests.reading import PAIRS, Cell, Scope, sums_of
from detmon.ab_tests.records import ABPlan
from detmon.errors import UsageError
from detmon.stats import comparison
from detmon.stats.comparison import Sums, units_needed
from detmon.store import Connection, statement

HISTORY = timedelta(days=28)
EFFECTS = (0.02, 0.05)
LONG = 28
"""Days; a test that takes longer is better run as a shadow."""
FACTOR = {"daily": 1.03, "always": 1.9, "fixed": 1.0}
"""What looking more often than once costs in units."""


def plan(con: Connection, model_id: str, metric: str, definition: Definition, now: datetime) -> ABPlan:
    """Units and days for relative effects of 2 and 5 %, for the split and for halves.

    Raises UsageError for a metric whose spread the log does not tell.
    """
    name = METRICS[metric]
    if name not in PAIRS and name != "avg_latency_ms":
        known = ", ".join(one for one, meant in METRICS.items() if meant in PAIRS or meant == "avg_latency_ms")
        raise UsageError(f"a plan for {metric} cannot be made from the log alone", f"it can for {known}")
    history = Scope(model_id, model_id, now - HISTORY, now, HISTORY, definition.unit, low=name == "low_confidence_rate")
    sums, days = _history(con, history, name)
    spread = _spread(sums)
    rows: list[dict[str, Any]] = []
    per_day = None
    if spread is not None and days:
        comes_and_goes = definition.unit == "image_id"
        per_day = sums.units / days if comes_and_goes else float(sums.units)
        splits = dict.fromkeys((definition.traffic_split, 0.5))
        rows = [_row(one, split, spread / one, per_day, definition) for one in EFFECTS for split in splits]
    return ABPlan(
        model_id=model_id,
        metric=metric,
        unit=definition.unit,
        mode=definition.mode,
        traffic_split=definition.traffic_split,
        duration_days=definition.duration_days,
        units_per_day=per_day,
        value=sums.y / sums.x if sums.x else None,
        effects=tuple(rows),
        advice=tuple(_advice(rows, definition)),
        reason=None if rows else "not enough data: the last 28 days do not tell how the model's units vary",
    )


WEEK = timedelta(days=7)


def expected_units(con: Connection, model_ids: tuple[str, str], definition: Definition, now: datetime) -> float | None:
    """The units that a test will have at its end if traffic stays that of the last week; None without traffic."""
    scope = Scope(*model_ids, now - WEEK, now, WEEK, definition.unit)
    text, values = scope.rows()
    ((units, rows),) = con.execute(statement("ab_expected").format(rows=text), values).fetchall()
    comes_and_goes = definition.unit == "image_id"
    found = units / WEEK.days * definition.duration_days if comes_and_goes else units
    return float(found) if rows else None


def _history(con: Connection, scope: Scope, name: str) -> tuple[Sums, float]:
    """The sums of the model's units over the last weeks, and over how many days they came."""
    import numpy as np

    span = reading.span(con, scope)
    if scope.unit == "image_id":
        cells = reading.cells(con, scope, [name])
        part = reading.part_of(sum(cell.counts["rows"] for cell in cells))
        if not reading.images(con, scope, part).repeated:
            return _of_rows(con, scope, name, cells), span
    units = reading.units(con, scope)
    if name in PAIRS:
        unit, (y, x) = units.unit, (units.values[column] for column in PAIRS[name])
    else:
        logged = reading.latencies(con, scope, units.names)
        unit, y, x = logged.unit, clipped(logged), logged.n
    _, place = np.unique(unit, return_inverse=True)
    return comparison.sums(np.bincount(place, y).astype(float), np.bincount(place, x).astype(float)), span


def _of_rows(con: Connection, scope: Scope, name: str, cells: Sequence[Cell]) -> Sums:
    """The sums where each row is a unit."""
    if name in PAIRS:
        return sums_of(cells, *PAIRS[name])
    logged = reading.latencies(con, scope)
    return clipped_sums(logged, clip_of(logged)) if logged.n.size else comparison.sums([])


def _spread(sums: Sums) -> float | None:
    """The standard deviation of a unit's share in the ratio, as a share of the ratio."""
    found = sums.ratio if sums.units >= 2 else None
    if found is None or found.value <= 0 or found.variance <= 0:
        return None
    return math.sqrt(found.variance * sums.units) / found.value


def _row(relative: float, split: float, effect_sd: float, per_day: float, definition: Definition) -> dict[str, Any]:
    n_a, n_b = units_needed(1 / effect_sd, split / (1 - split))
    factor = FACTOR[definition.mode]
    total = (n_a + n_b) * factor
    days = math.ceil(total / per_day) if definition.unit == "image_id" else None
    return {
        "effect": relative,
        "traffic_split": split,
        "units_a": math.ceil(n_a * factor),
        "units_b": math.ceil(n_b * factor),
        "days": days,
        "enough": days <= definition.duration_days if days is not None else total <= per_day,
    }


def _advice(rows: Sequence[dict[str, Any]], definition: Definition) -> Iterator[str]:
    own = [row for row in rows if row["traffic_split"] == definition.traffic_split]
    for row in own:
        if row["enough"]:
            continue
        if row["days"] is None:
            needs = f"needs {row['units_a'] + row['units_b']:,} units, more than there are"
        else:
            needs = f"needs {row['days']:,} days, not {definition.duration_days}"
        yield f"an effect of {row['effect']:.0%} {needs} at a split of {definition.traffic_split:g}"
    if any(row["days"] is not None and row["days"] > LONG for row in own):
        yield (
            "run the second model as a shadow on the same images instead: paired answers need a small part of the units"
        )
