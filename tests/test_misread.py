"""A log that means something else than its reader thinks: refused with what settles it, or right, never wrong unsaid.

Every format × everything that can be mistaken, written from real logs; and right logs, which must never be refused.
"""

from __future__ import annotations

import json
import random
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from logs import Taken
from writers import WRITERS, Box, Log, Options, Record, Writer, source

from detmon import formats
from detmon.errors import InputRefused

Change = Callable[[Log], list[Record]]
FORMATS = {writer.name: writer for writer in WRITERS}
CORNERS = ("home-made", "ultralytics", "torchvision", "torchvision Parquet", "frigate", "JSONSink", "CSVSink")
CENTRES = ("roboflow", "save_txt")
SIZES = tuple(name for name in FORMATS if name not in (*CORNERS, *CENTRES))
"""Formats by how they write a box: two corners, centre and size, corner and size."""
UNSIZED = ("frigate", "JSONSink", "CSVSink")
GIVEN = ("home-made",)
"""Its layout is an option, which is obeyed: what contradicts it is warned of."""


def real(data: Path, log: str = "bdd100k/log") -> list[Record]:
    """A real log; boxes that are none left out."""
    found = []
    for row in pq.read_table(data / f"{log}.parquet").to_pylist():
        boxes = [
            Box(box["label"], box["confidence"], *(float(box["bbox"][side]) for side in "xywh"))
            for box in row["detections"]
            if box["bbox"] and box["bbox"]["w"] > 0 and box["bbox"]["h"] > 0
        ]
        when = row["timestamp"].astimezone(UTC).replace(tzinfo=None)
        size = {name: row[name] for name in ("image_width", "image_height")}
        said = {"source": row["source"], "latency_ms": 20.0, **size}
        found.append(Record(row["model_id"], when, row["image_id"], tuple(boxes), **said))
    return found


def boxes(change: Callable[[Record, Box], dict[str, float]]) -> Change:
    return lambda log: [replace(one, boxes=tuple(replace(box, **change(one, box)) for box in one.boxes)) for one in log]


def shares(one: Record, box: Box) -> dict[str, float]:
    width, height = one.image_width or 1, one.image_height or 1
    return {"x": box.x / width, "y": box.y / height, "w": box.w / width, "h": box.h / height}


MISTAKES: dict[str, tuple[Change, str, tuple[str, ...]]] = {
    "corners read as sizes": (boxes(lambda _, box: {"w": box.x + box.w, "h": box.y + box.h}), "box_format", SIZES),
    "sizes read as corners": (boxes(lambda _, box: {"w": box.w - box.x, "h": box.h - box.y}), "box_format", CORNERS),
    "centre read as corner": (
        boxes(lambda _, box: {"x": box.x + box.w / 2, "y": box.y + box.h / 2}), "box_format", SIZES),
    "shares read as pixels": (
        boxes(shares), "looks_normalised", tuple(name for name in FORMATS if name != "save_txt")),
    "percent": (boxes(lambda _, box: {"confidence": 100 * (box.confidence or 0)}), "score_scale", tuple(FORMATS)),
    "logits": (boxes(lambda _, box: {"confidence": 12 * (box.confidence or 0) - 4}), "score_scale", tuple(FORMATS)),
    "seconds as latency": (
        lambda log: [replace(one, latency_ms=0.02) for one in log], "latency_unit",
        tuple(name for name, writer in FORMATS.items() if "latency_ms" in writer.fields and name != "roboflow")),
    "a smaller image size": (
        lambda log: [replace(one, image_width=320, image_height=180) for one in log], "box_format",
        tuple(name for name in FORMATS if name not in (*UNSIZED, "save_txt"))),
}  # fmt: skip
"""Mistake → how a log gets it, the code it is refused with, and the formats in which it can be made."""
SAYS_SO = "the format itself says how boxes are written"
NO_LATENCY = "the format has no latency"
UNTOLD: dict[str, list[tuple[tuple[str, ...], str]]] = {
    "corners read as sizes": [((*CORNERS, *CENTRES), SAYS_SO)],
    "sizes read as corners": [((*SIZES, *CENTRES), SAYS_SO)],
    "centre read as corner": [((*CORNERS, *CENTRES), SAYS_SO)],
    "shares read as pixels": [(("save_txt",), SAYS_SO)],
    "percent": [],
    "logits": [],
    "seconds as latency": [
        (tuple(name for name, writer in FORMATS.items() if "latency_ms" not in writer.fields), NO_LATENCY),
        (("roboflow",), "its time is in seconds; short ones are warned of"),
    ],
    "a smaller image size": [
        (UNSIZED, "no size is logged, so that no box leaves the image"),
        (("save_txt",), "boxes are shares of whatever size the image has"),
    ],
}
"""The formats in which a mistake cannot be made, or cannot be seen, and why."""


def read(log: Log, writer: Writer, change: Callable[[Path, Options], Any] = lambda *_: None) -> Taken:
    """The log through a file of the format, which `change` may alter."""
    with tempfile.TemporaryDirectory() as folder:
        path, options = writer.write(log, Path(folder))
        change(Path(folder), options)
        return Taken(source(path), formats.Options(**options))


CELLS = [(mistake, name) for mistake, (_, _, names) in MISTAKES.items() for name in names]


@pytest.mark.parametrize(("mistake", "name"), CELLS)
def test_a_mistake_is_refused(data: Path, mistake: str, name: str) -> None:
    change, code, _ = MISTAKES[mistake]
    log = FORMATS[name].fitted(change(real(data)))
    if code in ("box_format", "looks_normalised") and name in GIVEN:
        with suppress(InputRefused):  # where most boxes are impossible
            assert "option_contradicted" in read(log, FORMATS[name]).codes
        return
    with pytest.raises(InputRefused) as refused:
        read(log, FORMATS[name])
    assert refused.value.code == code
    assert "--" in (refused.value.hint or "")


def test_every_cell_is_refused_or_has_a_reason() -> None:
    for mistake, (_, _, names) in MISTAKES.items():
        untold = [name for group, _ in UNTOLD[mistake] for name in group]
        assert sorted([*names, *untold]) == sorted(FORMATS)


# --- times, ids, classes: what the text of a log says ------------------------------------------------------------

STAMP = re.compile(r'"?(\d{4})-(\d\d)-(\d\d)T([\d:]+)(\.\d+)?Z"?')
TIMED = tuple(name for name in FORMATS if "Parquet" not in name and name not in ("MOT", "frigate"))
TIMES: dict[str, tuple[Callable[[re.Match[str]], str], str | None]] = {
    "no zone": (lambda t: t[0].replace("Z", ""), "no_zone"),
    "day or month": (lambda t: f'"{t[3]}/{t[2]}/{t[1]} {t[4]}"', "date_order"),
    "seconds": (lambda t: repr(moment(t)), None),
    "milliseconds": (lambda t: str(round(moment(t) * 1e3)), None),
    "microseconds": (lambda t: str(round(moment(t) * 1e6)), None),
    "nanoseconds": (lambda t: str(round(moment(t) * 1e6) * 1000), None),
}


def moment(stamp: re.Match[str]) -> float:
    return datetime.fromisoformat(stamp[0].strip('"').replace("Z", "+00:00")).timestamp()


@pytest.mark.parametrize("name", TIMED)
@pytest.mark.parametrize("written", TIMES)
def test_times_are_right_or_asked_for(data: Path, name: str, written: str) -> None:
    change, code = TIMES[written]

    def rewritten(folder: Path, _: Options) -> None:
        for path in (path for path in folder.iterdir() if path.is_file() and path.name != "names.json"):
            path.write_text(STAMP.sub(change, path.read_text("utf-8")), "utf-8")

    log = FORMATS[name].fitted(real(data)[:40])
    if code is None:
        taken = read(log, FORMATS[name], rewritten)
        found = {(row["image_id"], row["ts"].replace(microsecond=row["ts"].microsecond // 1000)) for row in taken.rows}
        assert found == {(one.image_id, one.ts.replace(microsecond=one.ts.microsecond // 1000)) for one in log}
        return
    with pytest.raises(InputRefused) as refused:
        read(log, FORMATS[name], rewritten)
    assert refused.value.code == code


LISTED = ("coco", "coco-results", "ultralytics-val", "save_txt")


@pytest.mark.parametrize("name", LISTED)
def test_ids_that_never_match(data: Path, name: str) -> None:
    def renamed(folder: Path, _: Options) -> None:
        path = folder / "images.jsonl"
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        path.write_text("".join(json.dumps({**row, "image_id": f"x-{row['image_id']}"}) + "\n" for row in rows))

    with pytest.raises(InputRefused) as refused:
        read(FORMATS[name].fitted(real(data)[:40]), FORMATS[name], renamed)
    assert (refused.value.code, refused.value.hint) == ("ids_do_not_match", "--image-id stem")


@pytest.mark.parametrize("name", ["coco-results", "ultralytics-val"])
def test_class_ids_that_may_begin_at_one(data: Path, name: str) -> None:
    def plain(folder: Path, options: Options) -> None:
        (folder / "names.txt").write_text("\n".join(f"class {k}" for k in range(50)))
        options["categories"] = folder / "names.txt"

    with pytest.raises(InputRefused) as refused:
        read(FORMATS[name].fitted(real(data)[:40]), FORMATS[name], plain)
    assert (refused.value.code, refused.value.exit_code) == ("category_base", 2)


# --- right logs --------------------------------------------------------------------------------------------------

LOGS = ("bdd100k/log", "cameratrap/model_v0_log", "cameratrap/model_v1_log", "kitti/rrc_log", "mot15/KITTI-17_log",
        "mot15/TUD-Campus_log", "mot15/TUD-Stadtmitte_log", "opendatacam/highway_log", "opendatacam/junction_log",
        "voc/log")  # fmt: skip


def taken_whole(log: Log, writer: Writer) -> None:
    log = writer.fitted(log)
    taken = read(log, writer)
    assert taken.rejects == []
    assert len(taken.rows) == len(log)
    assert "option_contradicted" not in taken.codes


@pytest.mark.parametrize("name", LOGS)
def test_pieces_of_right_logs_are_never_refused(data: Path, name: str) -> None:
    log = real(data, name)
    random.Random(0).shuffle(log)
    for size in (50, 200, 1000):
        for begin in range(0, len(log), size):
            taken_whole(log[begin : begin + size], FORMATS["JSON Lines"])


@pytest.mark.slow
@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.name)
@pytest.mark.parametrize("name", LOGS)
def test_right_logs_are_never_refused_in_any_format(data: Path, name: str, writer: Writer) -> None:
    log = real(data, name)
    random.Random(1).shuffle(log)
    for size in (50, 200):
        taken_whole(log[:size], writer)
