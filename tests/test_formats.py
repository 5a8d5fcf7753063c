"""Reading logs: recognition, chunks, compression, sizes; the rules of validation are in test_validation.py."""

from __future__ import annotations

import copy
import gzip
import io
import json
import os
import queue
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from logs import FIRST, NOW, SECOND, Take, Taken, lines
from synthetic import batch, write_jsonl, write_parquet

from detmon import formats
from detmon.errors import DetmonError, InputRefused, OperationError
from detmon.formats import Options, Source, inputs, objectlines


def test_the_documented_lines(take: Take) -> None:
    taken = take(lines(FIRST, SECOND))
    assert (taken.reading.format, taken.reading.denominator) == ("detmon", "known")
    first, second = taken.rows
    assert first["ts"] == datetime(2026, 11, 20, 8)
    assert second["ts"] == datetime(2026, 11, 20, 8, 0, 1)
    assert first["tags"] == [("site", "north")]
    assert (first["n_detections"], first["confidence_n"], first["confidence_sum"]) == (1, 1, 0.91)
    assert first["area_max"] == pytest.approx(6000 / 640 / 480)
    assert (second["n_detections"], second["confidence_sum"], second["confidence_min"]) == (0, 0.0, None)
    assert first["status"] == "ok"
    assert first["prediction_id"] is None
    assert taken.codes == []
    assert taken.rejects == []


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("log.jsonl", lambda data: data),
        ("log.jsonl.gz", gzip.compress),
        ("log.whatever", lambda data: pa.Codec("zstd").compress(data, asbytes=True)),
        ("bom.jsonl", lambda data: b"\xef\xbb\xbf" + data),
        ("crlf.jsonl", lambda data: data.replace(b"\n", b"\r\n")),
        ("blank.jsonl", lambda data: b"\n \n" + data.replace(b"\n", b"\n\n")),
        ("no-last-newline.jsonl", lambda data: data.rstrip(b"\n")),
    ],
)
def test_wrappings_of_the_same_log(take: Take, name: str, pack: Callable[[bytes], bytes]) -> None:
    taken = take(pack(lines(FIRST, SECOND)), name)
    assert [row["image_id"] for row in taken.rows] == ["000123.jpg", "000124.jpg"]
    assert taken.rejects == []


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: pa.Codec("zstd").compress(data, asbytes=True)])
def test_a_truncated_archive_is_unreadable(take: Take, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(lines(*({**FIRST, "image_id": os.urandom(12).hex()} for _ in range(50_00))))
    with pytest.raises(OperationError) as failed:
        take(packed[: len(packed) // 2])
    assert failed.value.code == "unreadable"


def test_parquet_equals_json_lines(take: Take, tmp_path: Path) -> None:
    parquet = take(write_parquet(tmp_path / "log.parquet", 3000))
    text = take(write_jsonl(tmp_path / "log.jsonl", 3000))
    assert parquet.table.num_rows == 3000
    assert parquet.table.drop_columns(["line"]).equals(text.table.drop_columns(["line"]))
    assert text.rejects == []
    assert text.codes == []


def test_the_slow_way_equals_the_fast_way(take: Take, tmp_path: Path) -> None:
    fast = take(write_jsonl(tmp_path / "log.jsonl", 2000))
    data = (tmp_path / "log.jsonl").read_bytes()
    odd = lines({**FIRST, "latency_ms": "21.4"})
    slow = take(data[: data.index(b"\n") + 1] + odd + data[data.index(b"\n") + 1 :], "odd.jsonl")
    assert [reject.line for reject in slow.rejects] == [2]
    assert slow.table.drop_columns(["line"]).equals(fast.table.drop_columns(["line"]))
    assert slow.table["line"].to_pylist()[:3] == [1, 3, 4]


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(latency_ms=True),
        lambda record: record.update(image_width=True),
        lambda record: record["detections"][0].update(confidence=True),
        lambda record: record["detections"][0].update(confidence=False),
        lambda record: record["detections"][0].update(bbox=[10, False, 100, 60]),
        lambda record: record["detections"][0].update(bbox=[10, 20, 100, True]),
    ],
)
@pytest.mark.parametrize("gaps", [(",", ":"), (", ", ": "), (" , ", " : ")])
def test_truth_is_no_number_anywhere(take: Take, change: Callable[[Any], None], gaps: tuple[str, str]) -> None:
    records = [copy.deepcopy({**FIRST, "image_id": f"{k}.jpg", "tags": {"night": "true"}}) for k in range(4000)]
    change(records[3000])
    taken = take("".join(json.dumps(record, separators=gaps) + "\n" for record in records).encode())
    assert [(reject.line, reject.code) for reject in taken.rejects] == [(3001, "wrong_type")]


def test_truth_in_a_tag_is_a_text(take: Take) -> None:
    record = {**FIRST, "tags": {"night": True}, "detections": [{"label": "car", "confidence": 1, "bbox": [0, 1, 2, 3]}]}
    taken = take(lines(*({**record, "image_id": f"{k}.jpg"} for k in range(1000))))
    assert (len(taken.rows), taken.rows[-1]["tags"]) == (1000, [("night", "true")])


def test_small_chunks_give_the_same_records(take: Take, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_jsonl(tmp_path / "log.jsonl", 500)
    whole = take(path)
    with path.open("rb") as stream:
        cut = list(objectlines.whole_lines(inputs.Input(Source("log", stream=io.BytesIO(stream.read()))), size=5000))
    assert b"".join(piece.data for piece in cut) == path.read_bytes()
    assert [piece.first for piece in cut][1] == cut[0].data.count(b"\n") + 1
    assert whole.table["line"].to_pylist() == list(range(1, 501))


def test_a_pipe_hands_on_what_is_there(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stream, os.fdopen(writer, "wb", buffering=0) as end:
        end.write(lines(FIRST))
        data = inputs.Input(Source("-", stream=stream))
        cut = objectlines.whole_lines(data, patience=0.01)
        assert next(cut).data == lines(FIRST)
        end.write(lines(SECOND)[:30])
        end.write(lines(SECOND)[30:])
        assert next(cut).data == lines(SECOND)
        end.close()
        assert list(cut) == []


def test_a_file_is_followed_from_its_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objectlines.ObjectLog, "patience", 0.05)
    path = tmp_path / "log.jsonl"
    path.touch()
    found: queue.Queue[str] = queue.Queue()

    def follow() -> None:
        reading = formats.open_source(Source("log.jsonl", path, follow=True), Options(), now=NOW)
        parts = reading.parts()
        for _ in range(2):
            found.put(next(parts).table["image_id"][0].as_py())
        parts.close()

    reader = threading.Thread(target=follow)
    reader.start()
    for record in (FIRST, SECOND):
        with path.open("ab") as log:
            log.write(lines(record))
        assert found.get(timeout=60) == record["image_id"]
    reader.join(60)


def test_parquet_on_a_pipe(tmp_path: Path) -> None:
    content = write_parquet(tmp_path / "log.parquet", 100).read_bytes()
    taken = Taken(Source("-", stream=io.BytesIO(content)), Options())
    assert taken.table.num_rows == 100


def test_hive_folders_fill_what_the_file_lacks(take: Take, tmp_path: Path) -> None:
    folder = tmp_path / "model_id=veh%403" / "source=cam 1" / "dt=2026-01-05"
    folder.mkdir(parents=True)
    pq.write_table(batch(10).drop_columns(["model_id"]), folder / "part.parquet")
    taken = take(folder / "part.parquet")
    assert {row["model_id"] for row in taken.rows} == {"veh@3"}
    assert {row["source"] for row in taken.rows} != {"cam 1"}


@pytest.mark.parametrize(
    "content", [b"\x00\x01\x02\xff" * 100, b"hello world\n", b"[1, 2, 3]", b'{"a": 1}\n', b"{", b"[", b"PAR1 nothing"]
)
def test_anything_else_is_refused(take: Take, content: bytes) -> None:
    with pytest.raises(DetmonError) as refused:
        take(content)
    assert refused.value.code in ("unknown_format", "unreadable")
    assert refused.value.exit_code == 4


def test_an_empty_file(take: Take) -> None:
    taken = take(b"\n \n")
    assert (taken.codes, taken.rows) == (["empty_file"], [])


@pytest.mark.parametrize("log", ["bdd100k/log", "cameratrap/model_v0_log", "cameratrap/model_v1_log", "kitti/rrc_log",
    "mot15/KITTI-17_log", "mot15/TUD-Campus_log", "mot15/TUD-Stadtmitte_log", "opendatacam/highway_log",
    "opendatacam/junction_log", "voc/log"])  # fmt: skip
def test_every_real_log_reads_and_gives_the_same_as_json_lines(take: Take, data: Path, log: str) -> None:
    taken = take(data / f"{log}.parquet")
    assert taken.rejects == []
    written = pq.read_table(data / f"{log}.parquet")
    records = []
    for row in written.to_pylist():
        row["timestamp"] = row["timestamp"].isoformat()
        row["tags"] = dict(row.get("tags") or []) or None
        records.append(row)
    again = take(lines(*records))
    assert again.rejects == []
    columns = [name for name in taken.table.column_names if name not in ("line", "tags")]
    assert again.table.select(columns).equals(taken.table.select(columns))


def test_logits_are_refused_and_taken_with_the_option(take: Take, data: Path) -> None:
    log = data / "kitti" / "pointrcnn_log.parquet"
    with pytest.raises(InputRefused) as refused:
        take(log)
    assert (refused.value.code, refused.value.hint) == ("score_scale", "--score-scale logit")
    taken = take(log, score_scale="logit")
    assert taken.table.num_rows == 786
    assert taken.rejects == []


# --- Parquet in its many shapes ----------------------------------------------------------------------------------

TIME = datetime(2026, 11, 20, 8)


def parquet(path: Path, n: int = 1, **columns: pa.Array) -> Path:
    """A canonical Parquet log of `n` records with some columns of other types."""
    box = {"label": "car", "confidence": 0.91, "bbox": {"x": 10.0, "y": 20.0, "w": 100.0, "h": 60.0}}
    made = {
        "model_id": pa.array(["veh@3"] * n),
        "timestamp": pa.array([TIME] * n, pa.timestamp("us", "UTC")),
        "image_id": pa.array([f"{k}.jpg" for k in range(n)]),
        "detections": pa.array([[box]] * n),
        **columns,
    }
    pq.write_table(pa.table({name: column for name, column in made.items() if column is not None}), path)
    return path


TIMES = [
    (pa.array([TIME], pa.timestamp("ns", "Europe/Madrid")), None),
    (pa.array([TIME], pa.timestamp("ms")), "UTC"),
    (pa.array(["2026-11-20T09:00:00+01:00"]), None),
    (pa.array(["2026-11-20 09:00:00"]), "Europe/Madrid"),
    (pa.array([1_795_161_600]), None),
    (pa.array([1_795_161_600_000]), None),
    (pa.array([1_795_161_600_000_000]), None),
    (pa.array([1_795_161_600.0]), None),
]


@pytest.mark.parametrize(("column", "zone"), TIMES)
def test_times_of_parquet(take: Take, tmp_path: Path, column: pa.Array, zone: str | None) -> None:
    (row,) = take(parquet(tmp_path / "log.parquet", timestamp=column), tz=zone).rows
    assert row["ts"] == TIME


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.string()])
def test_naive_times_of_parquet_need_a_zone(take: Take, tmp_path: Path, kind: pa.DataType) -> None:
    path = parquet(tmp_path / "log.parquet", timestamp=pa.array([TIME], pa.timestamp("us")).cast(kind))
    with pytest.raises(InputRefused) as refused:
        take(path)
    assert (refused.value.code, refused.value.exit_code) == ("no_zone", 2)


TAGS = [
    pa.array([[("site", "north"), ("lane", "2")]], pa.map_(pa.string(), pa.string())),
    pa.array([{"site": "north", "lane": "2", "none": None}]),
    pa.array(['{"site": "north", "lane": "2"}']),
]


@pytest.mark.parametrize("column", TAGS)
def test_tags_of_parquet(take: Take, tmp_path: Path, column: pa.Array) -> None:
    taken = take(parquet(tmp_path / "log.parquet", tags=column))
    assert dict(taken.rows[0]["tags"]) == {"site": "north", "lane": "2"}
    assert taken.codes == []


def test_tags_that_are_no_text(take: Take, tmp_path: Path) -> None:
    taken = take(parquet(tmp_path / "log.parquet", tags=pa.array(['{"lane": 2, "way": [1]}'])))
    assert taken.rows[0]["tags"] == [("lane", "2"), ("way", "[1]")]
    assert taken.warnings["tag_type"].count == 2


BOXES = [
    pa.array([[{"label": "car", "confidence": 0.91, "bbox": [10, 20, 100, 60]}]]),
    pa.array([[{"label": "car", "confidence": 0.91, "bbox": [10.0, 20.0, 100.0, 60.0]}]]).cast(
        pa.large_list(pa.struct({"label": pa.dictionary(pa.int8(), pa.string()), "confidence": pa.float32(),
                                 "bbox": pa.list_(pa.float32(), 4)}))
    ),
]  # fmt: skip


@pytest.mark.parametrize("column", BOXES)
def test_boxes_of_parquet(take: Take, tmp_path: Path, column: pa.Array) -> None:
    expected = take(parquet(tmp_path / "log.parquet")).table
    assert take(parquet(tmp_path / "log.parquet", detections=column)).table.equals(expected)


WRONG = [
    {"image_id": pa.array([1.5])},
    {"detections": pa.array(["[]"])},
    {"detections": pa.array([[{"label": "car", "confidence": "0.9", "bbox": [1, 2, 3, 4]}]])},
    {"latency_ms": pa.array(["fast"])},
    {"tags": pa.array([1])},
    {"timestamp": pa.array([True])},
]


@pytest.mark.parametrize("columns", WRONG, ids=lambda columns: next(iter(columns)))
def test_wrong_types_of_parquet(take: Take, tmp_path: Path, columns: dict[str, pa.Array]) -> None:
    with pytest.raises(InputRefused, match=r"is text|is a number|is a list|is true or false") as refused:
        take(parquet(tmp_path / "log.parquet", **columns))
    assert refused.value.code == "mostly_bad"


def test_parquet_without_a_required_column(take: Take, tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="no `model_id`") as refused:
        take(parquet(tmp_path / "log.parquet", model_id=None))
    assert (refused.value.code, refused.value.hint) == ("mostly_bad", "--model NAME")
    assert take(parquet(tmp_path / "log.parquet", model_id=None), model="m").rows[0]["model_id"] == "m"
    with pytest.raises(InputRefused, match="its columns are model_id, timestamp, image_id"):
        take(parquet(tmp_path / "log.parquet", detections=None))


def test_parquet_cut_off(take: Take, tmp_path: Path) -> None:
    content = write_parquet(tmp_path / "log.parquet", 5000).read_bytes()
    for cut in (content[:-20], content[:2000] + content[3000:], content[:100]):
        with pytest.raises(OperationError) as failed:
            take(cut, "cut.parquet")
        assert failed.value.code == "unreadable"


def test_rejected_rows_of_parquet_show_themselves(take: Take, tmp_path: Path) -> None:
    stamps = pa.array([TIME] * 5 + [None] + [TIME] * 5, pa.timestamp("us", "UTC"))
    (reject,) = take(parquet(tmp_path / "log.parquet", n=11, timestamp=stamps)).rejects
    assert (reject.line, reject.reason) == (6, "no `timestamp` (row 6)")
    assert reject.raw.startswith('{"model_id": "veh@3", "image_id": "5.jpg"')


def test_a_map_of_parquet_columns(take: Take, tmp_path: Path) -> None:
    boxes = pa.array([[{"name": "car", "p": 0.91, "l": 10.0, "t": 20.0, "w": 100.0, "h": 60.0}]])
    path = parquet(tmp_path / "log.parquet", image_id=None, meta=pa.array([{"file": "0.jpg"}]), detections=boxes)
    mapping = {"image_id": "meta.file", "detections.label": "name", "detections.confidence": "p",
               "detections.bbox": "l,t,w,h"}  # fmt: skip
    taken = take(path, map=mapping)
    assert taken.table.equals(take(parquet(tmp_path / "log.parquet")).table)
