"""Logs with a row a box that are read in pieces say the same as in one."""

from __future__ import annotations

import csv
import io
import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from logs import Take, Taken

from detmon.formats import flat

HEADER = ["image_id", "source", "timestamp", "label", "confidence", "x1", "y1", "x2", "y2", "class_id", "note"]
START = datetime(2026, 1, 5, 8, tzinfo=UTC)
WAYS = [{}, {"BLOCK": 300, "PIECE_ROWS": 7}, {"BLOCK": 300, "PIECE_ROWS": 7, "HELD": 0, "HELD_ROWS": 0}]
"""In one piece; in pieces that are held; in pieces that are read twice."""


def log(
    seed: int, images: int = 40, *, scattered: bool = False, odd: bool = False, ids: bool = False
) -> list[list[Any]]:
    """Rows of images with 0 to 5 boxes; `odd`: cells that are wrong, hold line breaks, or are too few or many."""
    draw = random.Random(seed)
    rows: list[list[Any]] = []
    for k in range(40):
        when = f"2026-01-05T08:00:{k:02}Z" if draw.random() < 0.9 else f"2026-01-05T10:00:{k:02}+02:00"
        image, source = f"{'é' * (k % 3)}{k // 2}.jpg", f"cam{k % 2}"
        for _ in range(draw.randint(1, 5)):
            x, y = draw.randint(0, 300), draw.randint(0, 200)
            label = draw.choice(["car", "van", "a person", 'a "quoted" one' if odd else "bus"])
            row = [image, source, when, label, round(draw.random(), 3), x, y, x + draw.randint(5, 99), y + 30]
            row += [{"car": 0, "van": 1}.get(label, k if odd else 2), "plain"]
            if odd and draw.random() < 0.3:
                row[draw.randrange(len(row))] = draw.choice(["", "two\nlines", "x,y", 'a "word"', "1e400", "ÿ", None])
            if odd and draw.random() < 0.05:
                row = row[: draw.randint(1, 9)]
            rows.append([*row, f"p{k}" if draw.random() < 0.8 else ""] if ids and len(row) == len(HEADER) else row)
        if k % 7 == 3:
            rows.append([image + "e", source, when, *[""] * (len(HEADER) - 3 + ids)])
    if scattered:
        for _ in range(3):
            rows.append(rows.pop(draw.randrange(len(rows) // 2)))
    return rows


def as_csv(header: list[str], rows: list[list[Any]]) -> bytes:
    """Rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()


def said(taken: Taken) -> Any:
    """All that is told about a log; a rejected record is shown as found or as read."""
    rejects = [replace(reject, raw="") for part in taken.parts for reject in part.rejects]
    return taken.rows, sorted(rejects, key=lambda reject: (reject.line, reject.reason)), taken.reading.warnings()


def each_way(monkeypatch: pytest.MonkeyPatch, take: Take, *what: Any, **options: Any) -> list[Any]:
    """What is told of a log, read in each way."""
    found = []
    for way in WAYS:
        with monkeypatch.context() as patch:
            for name, value in way.items():
                patch.setattr(flat, name, value)
            found.append(said(take(*what, **options)))
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("scattered", [False, True])
def test_csv(monkeypatch: pytest.MonkeyPatch, take: Take, seed: int, odd: bool, scattered: bool) -> None:
    ids = seed % 2 == 1
    rows = log(seed, odd=odd, scattered=scattered, ids=ids)
    content = as_csv([*HEADER, *(["prediction_id"] if ids else [])], rows)
    whole, held, twice = each_way(monkeypatch, take, content, "log.csv", model="m")
    assert len(whole[0]) > 10
    assert held == whole
    assert twice == whole


@pytest.mark.parametrize("scattered", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_parquet(monkeypatch: pytest.MonkeyPatch, take: Take, tmp_path: Path, seed: int, scattered: bool) -> None:
    rows = [[None if cell == "" else cell for cell in row] for row in log(seed, scattered=scattered)]
    columns = dict(zip(HEADER, map(list, zip(*rows, strict=True)), strict=True))
    columns["confidence"][5] = 7.5
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=50)
    whole, held, twice = each_way(monkeypatch, take, path, model="m")
    assert [reject.line for reject in whole[1]] != []
    assert held == whole
    assert twice == whole


@pytest.mark.parametrize("scattered", [False, True])
def test_mot(monkeypatch: pytest.MonkeyPatch, take: Take, scattered: bool) -> None:
    rows = [[k, -1, 5 * k, 7, 30, 40, 0.5, -1, -1, -1] for k in range(1, 60) for _ in range(k % 3 + 1)]
    rows[20][2] = "left"
    if scattered:
        rows.append(rows.pop(1))
    content = as_csv(rows[0], rows[1:])  # type: ignore[arg-type]
    whole, held, twice = each_way(monkeypatch, take, content, "det.txt", model="m", start=START, fps=30.0, label="car")
    assert len(whole[0]) == 58
    assert held == whole
    assert twice == whole


def test_one_record_over_many_pieces(monkeypatch: pytest.MonkeyPatch, take: Take, tmp_path: Path) -> None:
    row = ["a.jpg", "cam", "2026-01-05T08:00:00Z", "car", 0.5, 1, 2, 30, 40, 0, ""]
    rows = [[*row[:4], 0.001 * k, *row[5:]] for k in range(200)]
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table(dict(zip(HEADER, map(list, zip(*rows, strict=True)), strict=True))), path)
    for what in ((as_csv(HEADER, rows), "log.csv"), (path,)):
        whole, held, twice = each_way(monkeypatch, take, *what, model="m")
        assert [row["n_detections"] for row in whole[0]] == [200]
        assert held == whole
        assert twice == whole
