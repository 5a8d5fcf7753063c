"""Times as logs write them → microseconds since the epoch, UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


class State(IntEnum):
    """What a time turned out to be."""

    ok = 0
    missing = 1
    unreadable = 2
    zoneless = 3
    slashed = 4
    """03/04/2026: day or month first?"""
    wrong_type = 5


@dataclass
class Instants:
    """`micros`: int64 since the epoch, valid where `state` is ok. `units`: those of epoch numbers, by name."""

    micros: NDArray[np.int64]
    state: NDArray[np.uint8]
    clock_changes: int = 0
    units: frozenset[str] = frozenset()


EPOCHS = (
    ("seconds", 1e9, 1e11, 1),
    ("milliseconds", 1e12, 1e14, 1_000),
    ("microseconds", 1e15, 1e17, 1_000_000),
    ("nanoseconds", 1e18, 9e18, 1_000_000_000),
)
"""Unit, smallest and largest number read as it, how many make a second: the ranges do not meet."""
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SLASHED = re.compile(r"\d{1,2}[/.]\d{1,2}[/.]\d{4}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instants(column: pa.Array, zone: str | None) -> Instants:
    """The times of a column: zoned or naive timestamps, text, or epoch numbers. `zone`: of those without one."""
    import numpy as np
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind):
        return _stamps(column, zone)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _texts(column, zone)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        exact = column.cast(pa.int64(), safe=False) if pa.types.is_integer(kind) else None
        return _epochs(values, None if exact is None else exact.fill_null(0).to_numpy())
    state = np.where(_nulls(column), State.missing, State.wrong_type).astype(np.uint8)
    return Instants(np.zeros(len(column), np.int64), state)


def _stamps(column: pa.Array, zone: str | None) -> Instants:
    import numpy as np
    import pyarrow as pa

    state = np.where(_nulls(column), State.missing, State.ok).astype(np.uint8)
    micros = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64()).fill_null(0).to_numpy()
    if column.type.tz is not None:
        return Instants(micros, state)
    if zone is None:
        return Instants(micros, np.where(state == State.ok, State.zoneless, state).astype(np.uint8))
    micros, changes = in_zone(micros, zone)
    return Instants(micros, state, changes)


def in_zone(micros: NDArray[np.int64], zone: str) -> tuple[NDArray[np.int64], int]:
    """Local times of `zone` as UTC, and how many of them fall into the hour of a clock change."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if zone.upper() in ("UTC", "Z"):
        return micros, 0
    local = pa.array(micros).cast(pa.timestamp("us"))
    first, last = (
        pc.assume_timezone(local, zone, ambiguous=choice, nonexistent=choice).cast(pa.int64()).to_numpy()
        for choice in ("earliest", "latest")
    )
    return first, int((first != last).sum())


def _texts(column: pa.Array, zone: str | None) -> Instants:
    import pyarrow as pa

    for kind in (pa.timestamp("us", "UTC"), pa.timestamp("us")):
        try:
            return _stamps(column.cast(kind), zone)
        except pa.ArrowInvalid:
            continue
    return _one_by_one(column, zone)


def _one_by_one(column: pa.Array, zone: str | None) -> Instants:
    import numpy as np

    found = [_text(value) for value in column.to_pylist()]
    micros = np.array([value for value, _, _ in found], np.int64)
    state = np.array([state for _, state, _ in found], np.uint8)
    changes = 0
    naive = state == State.zoneless
    if zone is not None and naive.any():
        micros[naive], changes = in_zone(micros[naive], zone)
        state[naive] = State.ok
    return Instants(micros, state, changes, frozenset(unit for _, _, unit in found if unit))


def _text(value: str | None) -> tuple[int, State, str | None]:
    text = (value or "").strip()
    if not text:
        return 0, State.missing, None
    if _NUMBER.fullmatch(text):
        return _number(text)
    if _SLASHED.match(text):
        return 0, State.slashed, None
    try:
        moment = datetime.fromisoformat(text)
        zoned = moment.tzinfo is not None
        passed = (moment if zoned else moment.replace(tzinfo=UTC)) - _EPOCH
    except (ValueError, OverflowError):
        return 0, State.unreadable, None
    micros = (passed.days * 86400 + passed.seconds) * 1_000_000 + passed.microseconds
    return micros, State.ok if zoned else State.zoneless, None


def _number(text: str) -> tuple[int, State, str | None]:
    value = float(text)
    for unit, low, high, per_second in EPOCHS:
        if low <= value < high:
            micros = round(value * (1e6 / per_second)) if "." in text else int(text) * 1_000_000 // per_second
            return micros, State.ok, unit
    return 0, State.unreadable, None


def _epochs(values: NDArray[np.floating[Any]], exact: NDArray[np.int64] | None) -> Instants:
    import numpy as np

    state = np.where(np.isnan(values), State.missing, State.unreadable).astype(np.uint8)
    micros = np.zeros(len(values), np.int64)
    units = []
    for unit, low, high, per_second in EPOCHS:
        with np.errstate(invalid="ignore"):
            fits = (values >= low) & (values < high)
        if fits.any():
            many, less = max(1_000_000 // per_second, 1), max(per_second // 1_000_000, 1)
            rounded = np.rint(values[fits] * (1e6 / per_second)).astype(np.int64)
            micros[fits] = rounded if exact is None else exact[fits] * many // less
            state[fits] = State.ok
            units.append(unit)
    return Instants(micros, state, 0, frozenset(units))


def _nulls(column: pa.Array) -> NDArray[np.bool_]:
    nulls: NDArray[np.bool_] = column.is_null().to_numpy(zero_copy_only=False)
    return nulls
