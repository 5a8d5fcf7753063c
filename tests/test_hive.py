"""Folder names that fill what a log lacks."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from conftest import Shell
from logs import FIRST, lines

BARE = {name: value for name, value in FIRST.items() if name not in ("model_id", "source")}
FOLDER = "logs/model_id=veh%403/source=cam 1/dt=2026-11-20"


def flat(folder: Path, kind: str) -> Path:
    """One box, without model and source, as a table."""
    box = {"label": ["car"], "confidence": [0.9], "x1": [1.0], "y1": [2.0], "x2": [30.0], "y2": [40.0]}
    table = pa.table({"image_id": ["1.jpg"], "timestamp": ["2026-11-20T08:00:00Z"], **box})
    place = folder / f"part.{kind}"
    pyarrow.csv.write_csv(table, place) if kind == "csv" else pq.write_table(table, place)
    return place


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_every_format(detmon: Shell, kind: str) -> None:
    folder = detmon.folder / FOLDER
    folder.mkdir(parents=True)
    (folder / "part.jsonl").write_bytes(lines(BARE)) if kind == "jsonl" else flat(folder, kind)
    detmon("ingest", "logs")
    assert detmon("sql", "SELECT model_id, source FROM predictions", "--json").json == [
        {"model_id": "veh@3", "source": "cam 1"}
    ]


def test_what_the_log_says_wins_and_folders_are_nearer_than_options(detmon: Shell) -> None:
    folder = detmon.folder / FOLDER
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_bytes(lines({**BARE, "model_id": "own@1"}, {**BARE, "image_id": "2.jpg"}))
    detmon("ingest", "logs", "--model", "said@1", "--source", "said")
    rows = detmon("sql", "SELECT model_id, source FROM predictions ORDER BY image_id", "--json").json
    assert rows == [{"model_id": "own@1", "source": "cam 1"}, {"model_id": "veh@3", "source": "cam 1"}]


def test_equal_files_of_two_models_are_two_logs(detmon: Shell) -> None:
    for model in ("a@1", "b@1"):
        folder = detmon.folder / "logs" / f"model_id={model}"
        folder.mkdir(parents=True)
        (folder / "part.jsonl").write_bytes(lines(BARE))
    assert detmon("ingest", "logs", "--json").json["predictions"] == 2
    assert [file["status"] for file in detmon("ingest", "logs", "--json").json["files"]] == ["seen", "seen"]


def test_the_partition_without_value_says_nothing(detmon: Shell) -> None:
    folder = detmon.folder / "logs" / "source=__HIVE_DEFAULT_PARTITION__"
    folder.mkdir(parents=True)
    (folder / "part.jsonl").write_bytes(lines({**BARE, "model_id": "a@1"}))
    detmon("ingest", "logs")
    assert detmon("sql", "SELECT source FROM predictions", "--json").json == [{"source": None}]


def test_what_spark_leaves_beside_its_data_is_no_log(detmon: Shell) -> None:
    part = detmon.folder / "logs" / "source=cam 1" / "part-0.jsonl"
    part.parent.mkdir(parents=True)
    part.write_bytes(lines({**BARE, "model_id": "a@1"}))
    for name in ("_SUCCESS", "_committed_1", "_started_1", "source=cam 1/.part-0.jsonl.crc", "_delta_log/0.json"):
        path = detmon.folder / "logs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('{"added":["part-0"]}')
    (file,) = detmon("ingest", "logs", "--json").json["files"]
    assert (file["path"], file["status"]) == ("logs/source=cam 1/part-0.jsonl", "taken")
