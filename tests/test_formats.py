"""Reading logs: recognition, chunks, compression, sizes; the rules of validation are in test_validation.py."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from logs import FIRST, SECOND, Take, Taken, lines
from synthetic import batch, write_jsonl, write_parquet

from detmon.errors import DetmonError, InputRefused, OperationError
from detmon.formats import Options, Source, inputs, jsonl


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


def test_small_chunks_give_the_same_records(take: Take, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_jsonl(tmp_path / "log.jsonl", 500)
    whole = take(path)
    with path.open("rb") as stream:
        cut = list(jsonl.whole_lines(inputs.Input(Source("log", stream=io.BytesIO(stream.read()))), size=5000))
    assert b"".join(piece.data for piece in cut) == path.read_bytes()
    assert [piece.first for piece in cut][1] == cut[0].data.count(b"\n") + 1
    assert whole.table["line"].to_pylist() == list(range(1, 501))


def test_a_pipe_hands_on_what_is_there(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stream, os.fdopen(writer, "wb", buffering=0) as end:
        end.write(lines(FIRST))
        data = inputs.Input(Source("-", stream=stream))
        cut = jsonl.whole_lines(data, patience=0.01)
        assert next(cut).data == lines(FIRST)
        end.write(lines(SECOND)[:30])
        end.write(lines(SECOND)[30:])
        assert next(cut).data == lines(SECOND)
        end.close()
        assert list(cut) == []


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
