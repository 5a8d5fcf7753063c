"""Whatever the bytes are: a table, or an error of detmon; never anything else."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import pytest
from fuzz import fuzz
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from logs import FIRST, NOW, SECOND, lines

from detmon import formats
from detmon.errors import DetmonError
from detmon.formats import Options, Source

COCO = json.dumps([{"image_id": 7, "category_id": 3, "bbox": [12.5, 40, 100, 60], "score": 0.88}] * 3).encode()
CSV = b"image_id,timestamp,label,confidence,x1,y1,x2,y2\na,2026-11-20T08:00:00Z,car,0.91,10,20,110,80\n" * 2
MOT = b"1,-1,10,20,100,60,0.91,-1,-1,-1\n2,-1,10,20,100,60,0.9,-1,-1,-1\n"
SEEDS = [lines(FIRST, SECOND), json.dumps([FIRST, SECOND]).encode(), COCO, CSV, MOT, gzip.compress(lines(FIRST))]
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner))
records = st.builds(lambda base, changes: {**base, **changes}, st.sampled_from([FIRST, SECOND]), st.dictionaries(
    st.sampled_from(sorted(FIRST)), values, max_size=2))  # fmt: skip


@st.composite
def damaged(draw: Any) -> bytes:
    """A good log with some bytes changed, cut or put in."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        data[place : place + draw(st.integers(0, 6))] = draw(st.binary(max_size=6))
    return bytes(data)


def read(data: bytes, **options: Any) -> None:
    """Read to the end; a DetmonError is an answer too."""
    answer = "read"
    try:
        reading = formats.open_source(Source("-", stream=io.BytesIO(data)), Options(**options), now=NOW)
        for part in reading.parts():
            part.table.validate(full=True)
            assert part.read >= part.table.num_rows
            assert all(reject.reason and reject.code and len(reject.raw) <= 2000 for reject in part.rejects)
        reading.warnings()
    except DetmonError as error:
        answer = error.message if error.code != "reader_failed" else ""
    assert answer


FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FEW
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    read(data)


@FEW
@given(damaged())
def test_damaged_logs(data: bytes) -> None:
    read(data, model="m", label="x", tz="UTC")


@FEW
@given(st.lists(records, max_size=5))
def test_odd_values(found: list[dict[str, Any]]) -> None:
    read(b"".join(json.dumps(one).encode() + b"\n" for one in found), tz="UTC")


def test_damaged_logs_of_every_format() -> None:
    found = fuzz(630, memory=None)
    assert {name: tally.failures for name, tally in found.items() if tally.failures} == {}
    assert all(tally.became["records"] for tally in found.values())


@pytest.mark.slow
@settings(max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damaged() | st.lists(records, max_size=5).map(lambda found: lines(*found)))
def test_many_damaged_logs(data: bytes) -> None:
    read(data, model="m", label="x", tz="UTC")
