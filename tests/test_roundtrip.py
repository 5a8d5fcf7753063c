"""Whatever a log holds: written in any format, it reads back as it was."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from logs import Taken
from writers import WRITERS, Box, Log, Record, Writer, source

from detmon.formats import Options
from detmon.readers import READERS

KEY = ("model_id", "source", "image_id", "ts")
FIELDS = (*KEY, "image_uri", "image_width", "image_height", "status", "prediction_id")
NUMBERS = ("latency_ms", "confidence_floor")

letters = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\\\x85")
texts = st.text(letters, min_size=1, max_size=12).filter(lambda text: text.strip() == text and text[0] != ".")
eighths = st.integers(0, 8 * 500).map(lambda k: k / 8)
scores = st.sampled_from([0.0, 1.0, 0.5]) | st.floats(0, 1, width=32)
times = st.datetimes(datetime(2001, 9, 10), datetime(2026, 11, 20))  # seconds of before are no times


@st.composite
def boxes(draw: Any) -> Box:
    """A box of at least two pixels, within the smallest image."""
    x, y = draw(eighths), draw(eighths)
    w, h = 2 + draw(eighths) * 0.25, 2 + draw(eighths) * 0.25
    label = draw(st.sampled_from(["car", "person", "7", "naïve 名"]) | texts)
    ids = st.none() | st.integers(0, 10**9).map(str)
    return Box(label, draw(st.none() | scores), x, y, w, h, draw(st.none() | texts), draw(ids))


@st.composite
def records(draw: Any, models: list[str], sources: list[str | None]) -> Record:
    sized = draw(st.booleans())
    return Record(
        draw(st.sampled_from(models)),
        draw(times),
        draw(texts | st.integers(0, 10**9).map(str)),
        tuple(draw(st.lists(boxes(), max_size=4))),
        draw(st.sampled_from(sources)),
        draw(st.none() | texts),
        draw(st.integers(640, 9000)) if sized else None,
        draw(st.integers(640, 9000)) if sized else None,
        draw(st.none() | st.floats(0.5, 1e5, width=32)),
        draw(st.sampled_from(["ok", "ok", "error"])),
        draw(st.none() | st.floats(0, 1, width=32)),
        draw(st.none() | st.dictionaries(texts, texts, max_size=3)),
    )


@st.composite
def logs(draw: Any) -> Log:
    models = draw(st.lists(texts, min_size=1, max_size=2))
    sources = draw(st.lists(st.none() | texts, min_size=1, max_size=3))
    found = draw(st.lists(records(models, sources), min_size=1, max_size=6))
    named = draw(st.booleans())
    return [Record(**{**vars(one), "prediction_id": f"p-{n}" if named else None}) for n, one in enumerate(found)]


def written(writer: Writer, log: Log) -> Taken:
    """The log, through a file and back."""
    with tempfile.TemporaryDirectory() as folder:
        path, options = writer.write(log, Path(folder))
        return Taken(source(path), Options(**options))


def same(writer: Writer, log: Log) -> None:
    """A log, as far as the format can carry it, reads back."""
    log = writer.fitted(log)
    if not any(one.boxes for one in log):
        return  # nothing tells what an empty array is
    taken = written(writer, log)
    assert taken.rejects == []
    found = {tuple(row[name] for name in KEY): row for row in taken.rows}
    assert len(found) == len(taken.rows)
    assert found.keys() == {tuple(getattr(one, name) for name in KEY) for one in log}
    for one in log:
        row = found[tuple(getattr(one, name) for name in KEY)]
        assert {name: row[name] for name in FIELDS} == {name: getattr(one, name) for name in FIELDS}
        assert dict(row["tags"] or []) == dict(one.tags or {})
        for name in NUMBERS:
            read, wrote = (-1.0 if value is None else value for value in (row[name], getattr(one, name)))
            assert read == pytest.approx(wrote, rel=1e-6)
        boxes = row["detections"]
        assert [box["label"] for box in boxes] == [box.label for box in one.boxes]
        for name in ("confidence", "detection_id", "track_id"):
            wanted = [getattr(box, name) for box in one.boxes]
            if name != "track_id" or any(wanted):
                assert [box[name] for box in boxes] == wanted
        sides = np.array([[box[side] for side in "xywh"] for box in boxes])
        wanted = np.array([[getattr(box, side) for side in "xywh"] for box in one.boxes])
        np.testing.assert_allclose(sides, wanted, rtol=0, atol=writer.near)


SOME = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
every_format = pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.name)


@every_format
@settings(max_examples=12, derandomize=True, **SOME)
@given(log=logs())
def test_a_log_reads_back(writer: Writer, log: Log) -> None:
    same(writer, log)


@pytest.mark.slow
@every_format
@settings(max_examples=200, **SOME)
@given(log=logs())
def test_many_logs_read_back(writer: Writer, log: Log) -> None:
    same(writer, log)


def test_every_reader_has_a_writer() -> None:
    assert {place for _, place in READERS} == {place for writer in WRITERS for place in writer.readers}
