"""Readers of log formats: all come through one hook; what a plugin's reader can do, and what a broken one cannot."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from conftest import ROOT, Shell
from logs import FIRST, NOW, lines
from test_plugins import Distributions, installed  # noqa: F401 (a fixture)

from detmon import formats
from detmon.errors import InputRefused, OperationError
from detmon.formats import Chunk, Options, Reject, Seen, Source
from detmon.plugins import own_formats
from detmon.testing import format_contract

DARKNET = """Enter Image Path: data/dog.jpg: Predicted in 21.359000 milli-seconds.
dog: 98%\t(left_x:  130   top_y:  220   width:  184   height:  324)
truck: 89%\t(left_x:  471   top_y:   76   width:  221   height:   92)
Enter Image Path: data/sky.jpg: Predicted in 20.9 milli-seconds.
"""
START = datetime(2026, 1, 5, 8, tzinfo=UTC)


def documented(module: str) -> str:
    """The code of a module in docs/plugins.md."""
    text = (ROOT / "docs" / "plugins.md").read_text("utf-8")
    found = re.search(rf"`{module}\.py`.*?```python\n(.*?)```", text, re.S)
    assert found
    return found[1]


def opened(tmp_path: Path, content: bytes, *readers: Any, **options: Any) -> formats.Reading:
    path = tmp_path / "log.mine"
    path.write_bytes(content)
    chosen = Options(**{"model": "m", "start": START, **options})
    return formats.open_source(Source("log.mine", path), chosen, now=NOW, readers={**own_formats(), "mine": readers})


def name_of(reading: formats.Reading) -> str:
    """The format of a reading that is not read."""
    reading.close()
    return reading.format


def test_the_documented_reader_is_installed_and_used(detmon: Shell, installed: Distributions) -> None:  # noqa: F811
    installed.add("detmon-darknet", documented("detmon_darknet"))
    (detmon.folder / "result.txt").write_text(DARKNET)
    asked = ("ingest", "result.txt", "--model", "yolo", "--start", "2026-01-05T08:00:00Z", "--fps", "1")
    shown = detmon.process(*asked, "--dry-run")
    assert b"darknet" in shown.stdout, shown.stderr
    done = detmon.process(*asked, "--json")
    (file,) = json.loads(done.stdout)["files"]
    assert (file["format"], file["predictions"], file["detections"]) == ("darknet", 2, 2), done.stderr
    assert b"read as darknet: it says `Predicted in" in done.stderr
    sql = "SELECT image_id, latency_ms, detections[1].w AS w, ts FROM predictions ORDER BY ts"
    first, second = detmon("sql", sql, "--json").json
    assert (first["image_id"], first["w"], second["image_id"], second["w"]) == (
        "data/dog.jpg",
        184,
        "data/sky.jpg",
        None,
    )
    assert detmon("sql", "SELECT denominator FROM batches", "--json").json == [{"denominator": "known"}]
    rows = {row["name"]: row for row in json.loads(detmon.process("plugins", "--json").stdout)}
    assert rows["detmon-darknet"]["formats"] == ["darknet"]


def test_the_documented_reader_keeps_the_contract() -> None:
    module: dict[str, Any] = {}
    exec(documented("detmon_darknet"), module)
    format_contract(module["Darknet"](), DARKNET.encode(), model="m", start="2026-01-05T08:00:00Z", fps=1)


@pytest.mark.parametrize(
    "place",
    ["coco:CocoResults", "flat:FlatCsv", "mot:Mot", "jsonl:JsonObjects", "roboflow:Roboflow", "frigate:Frigate"],
)
def test_own_readers_keep_the_contract(place: str) -> None:
    box = {"image_id": 7, "category_id": 3, "bbox": [12.5, 40, 100, 60], "score": 0.88}
    head = b"image_id,label,confidence,x1,y1,x2,y2\n"
    samples = {
        "coco:CocoResults": json.dumps([box, {**box, "image_id": 8}]).encode(),
        "flat:FlatCsv": head + b"a,car,0.9,1,2,30,40\nb,car,0.8,1,2,30,40\n",
        "mot:Mot": b"1,-1,10,20,100,60,0.91,-1,-1,-1\n2,-1,10,20,100,60,0.9,-1,-1,-1\n",
        "jsonl:JsonObjects": lines(FIRST, {**FIRST, "image_id": "b"}),
        "roboflow:Roboflow": lines({"inference_id": "i", "image_id": "a", "predictions": []}),
        "frigate:Frigate": lines({"type": "end", "after": {"id": "e", "camera": "c", "start_time": 1732089600.1}}),
    }
    if place == "jsonl:JsonObjects":
        with pytest.raises(AssertionError, match="for its own"):  # the contract's foreign log is its own
            format_contract(f"detmon.formats.{place}", samples[place])
    else:
        given = {"model": "m", "start": "2026-01-05T08:00:00Z", "label": "car"}
        format_contract(f"detmon.formats.{place}", samples[place], **given)


class Lines:
    """`IMAGE LABEL SCORE CX CY W H` a line, boxes in shares of the image."""

    denominator = "known"
    first_frame = 10

    def sniff(self, head: bytes, path: str) -> str | None:
        return "it says so" if head.startswith(b"#mine") else None

    def prepare(self, source: Any, options: Options) -> Options:
        from dataclasses import replace

        self.layout = "cxcywh-norm"
        self.mapping = {"image_id": "word 1"}
        return replace(options, image_size=options.image_size or (100, 200), fps=options.fps or 1.0)

    def frame_id(self, options: Options, number: float) -> str:
        return f"{int(number)}"

    def read(self, source: Any, options: Options) -> Any:
        found = [line.split() for line in source.whole().decode().splitlines()[1:]]
        good = [(n, row) for n, row in enumerate(found, start=2) if len(row) == 7]
        bad = [Reject(n, None, "field_count", "not 7 words", " ".join(row)) for n, row in enumerate(found, start=2)
               if len(row) != 7]  # fmt: skip
        records = [
            {
                "line": n,
                "image_id": row[0],
                "detections": [
                    {"label": row[1], "confidence": float(row[2]), "bbox": [float(side) for side in row[3:]]}
                ],
            }
            for n, row in good
        ]
        seen = [Seen("odd_words", "{n} words are odd", 3)]
        yield Chunk(pa.Table.from_pylist(records), lambda rows: [str(records[row]) for row in rows], bad, seen)


LOG = b"#mine\n10 car 0.5 0.5 0.5 0.2 0.1\n12 0 0.25 0.5 0.5 0.2 0.1\n12 car\n"


@pytest.mark.parametrize("reader", [Lines(), Lines, f"{__name__}:Lines"], ids=["reader", "class", "name"])
def test_a_reader_has_all_the_power_of_ours(tmp_path: Path, reader: Any) -> None:
    if isinstance(reader, str):
        sys.modules.setdefault(__name__, sys.modules[Lines.__module__])
    (tmp_path / "names.txt").write_text("van\n")
    reading = opened(tmp_path, LOG, reader, frames=(10, 13), categories=tmp_path / "names.txt")
    parts = list(reading.parts())
    rows = [row for part in parts for row in part.table.to_pylist()]
    assert (reading.format, reading.denominator, reading.mapping) == ("mine", "known", {"image_id": "word 1"})
    assert reading.because.startswith("it says so")
    assert [row["image_id"] for row in rows] == ["10", "12", "11", "13"]
    assert [row["ts"].second for row in rows] == [0, 2, 1, 3]
    (box,) = rows[0]["detections"]
    assert [box[side] for side in "xywh"] == pytest.approx([40, 90, 20, 20])
    assert rows[1]["detections"][0]["label"] == "van"
    assert [(reject.line, reject.code) for part in parts for reject in part.rejects] == [(4, "field_count")]
    assert {warned.code: warned.count for warned in reading.warnings()} == {"odd_words": 3}


def test_what_a_class_learns_of_one_log_is_gone_at_the_next(tmp_path: Path) -> None:
    for size in ((100, 200), (10, 20)):
        (part,) = opened(tmp_path, LOG, Lines, image_size=size).parts()
        assert part.table["detections"][0][0]["w"].as_py() == pytest.approx(0.2 * size[0])


class Broken(Lines):
    """A reader with mistakes."""

    def __init__(self, where: str) -> None:
        self.where = where

    def sniff(self, head: bytes, path: str) -> str | None:
        if self.where == "sniff":
            raise KeyError("sniff")
        return super().sniff(head, path)

    def read(self, source: Any, options: Options) -> Any:
        raise IndexError("no such word")


def test_a_broken_reader_is_named_and_stops_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(OperationError, match="reader of mine failed: IndexError: no such word") as failed:
        opened(tmp_path, LOG, Broken("read"))
    assert failed.value.code == "reader_failed"
    with pytest.raises(OperationError, match="reader of mine failed: KeyError"):
        opened(tmp_path, LOG, Broken("sniff"))
    assert name_of(opened(tmp_path, lines(FIRST), Broken("sniff"))) == "detmon"
    with pytest.raises(OperationError, match="reader of mine does not load"):
        opened(tmp_path, LOG, "no_such_module:Reader")


def test_insisting_asks_the_reader_whether_it_fits(tmp_path: Path) -> None:
    class Picky(Lines):
        def fits(self, head: bytes) -> bool:
            return b"car" in head

    assert name_of(opened(tmp_path, LOG[6:], Picky, log_format="mine")) == "mine"
    with pytest.raises(InputRefused, match="is not mine"):
        opened(tmp_path, b"nothing\n", Picky, log_format="mine")


def test_a_later_format_can_come_from_a_plugin(tmp_path: Path) -> None:
    path = tmp_path / "log.mine"
    path.write_bytes(LOG)
    chosen = Options(model="m", start=START, log_format="kserve")
    with pytest.raises(InputRefused, match="not supported yet"):
        formats.open_source(Source("log.mine", path), chosen, now=NOW)
    reading = formats.open_source(Source("log.mine", path), chosen, now=NOW, readers={"kserve": (Lines,)})
    assert name_of(reading) == "kserve"


CLAIMS = """
from detmon.hookspecs import hookimpl

class Mine:
    def sniff(self, head, path):
        return "mine" if b"image_id" in head else None

    def read(self, source, options):
        yield from ()

@hookimpl
def detmon_register_formats(register):
    register("{name}", Mine)
"""


def test_a_name_that_two_bring_is_read_by_neither_until_one_is_chosen(
    detmon: Shell,
    installed: Distributions,  # noqa: F811
) -> None:
    installed.add("other", CLAIMS.format(name="detmon"))
    (detmon.folder / "log.jsonl").write_bytes(lines(FIRST))
    refused = detmon.process("ingest", "log.jsonl")
    assert refused.returncode == 4
    assert b"two plugins bring 'detmon': detmon-formats (detmon) and other (other)" in refused.stderr
    (detmon.folder / "detmon.toml").write_text('[plugins]\nprefer = { detmon = "detmon-formats" }\n')
    assert detmon.process("ingest", "log.jsonl").returncode == 0


@pytest.mark.parametrize("name", ["auto", "My Log", ""])
def test_names_that_are_none(detmon: Shell, installed: Distributions, name: str) -> None:  # noqa: F811
    installed.add("other", CLAIMS.format(name=name))
    rows = {row["name"]: row for row in json.loads(detmon.process("plugins", "--json").stdout)}
    assert "is no name of a format" in rows["other"]["error"]


def test_no_reader_is_imported_before_a_log_is_read(detmon: Shell) -> None:
    (detmon.folder / "log.jsonl").write_bytes(lines(FIRST))
    detmon("ingest", "log.jsonl")
    rule = (
        "--model",
        "veh@3",
        "--metric",
        "avg_confidence",
        "--operator",
        "lt",
        "--threshold",
        "0.7",
        "--window",
        "1h",
    )
    detmon("alert", "create", "low", *rule)
    code = (
        "import sys; from detmon.cli.app import run; code = run(sys.argv[1:]);"
        "print(sorted(name for name in sys.modules if name.startswith('detmon.formats')), file=sys.stderr)"
    )
    for verb in (["--help"], ["plugins"], ["--now", "2026-11-20T09:00:00Z", "alert", "check"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *verb], cwd=detmon.folder, capture_output=True, text=True, timeout=60
        )
        assert done.stderr.splitlines()[-1] == "[]", done.stderr
