"""Logs in S3: against moto's server, and against one that fails as told."""

from __future__ import annotations

import gzip
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Shell
from logs import FIRST, SECOND, lines
from objects import LOG, Files, serving
from pictures import png
from reviewed_world import CAR, create, line, reviewed, said

from detmon.formats import buckets

KEYS = {
    "AWS_ACCESS_KEY_ID": "planted-key-id",
    "AWS_SECRET_ACCESS_KEY": "planted-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
}
BARE = {name: value for name, value in FIRST.items() if name not in ("model_id", "source")}
Put = Callable[[dict[str, bytes]], None]


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """The address of an S3 server."""
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
        pytest.skip("moto[server] is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials of the tests, and no others."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {**KEYS, "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def put(moto: str, clean: None, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Writes objects into a new bucket `logs`."""
    from pyarrow.fs import S3FileSystem

    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    import requests

    requests.post(f"{moto}/moto-api/reset", timeout=10)
    files = S3FileSystem(endpoint_override=moto.removeprefix("http://"), scheme="http", allow_bucket_creation=True)
    files.create_dir("logs")

    def write(content: dict[str, bytes]) -> None:
        for key, data in content.items():
            with files.open_output_stream(f"logs/{key}", compression=None) as out:
                out.write(data)

    return write


@pytest.fixture
def faulty(clean: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    """A bucket `logs` whose server can be told to fail."""
    with serving() as files:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", files.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        files.content["/logs/log.jsonl"] = LOG
        yield files


def paths(done: Any) -> list[str]:
    return [file["path"].removeprefix("s3://logs/") for file in done.json["files"]]


def tree() -> dict[str, bytes]:
    """A log in several places, each with a record of its own."""
    places = [
        "a/x/1.jsonl",
        "a/x/2.jsonl",
        "a/y/deep/3.jsonl",
        "a/y/4.txt",
        "b/5.jsonl",
        "a/.hidden/6.jsonl",
        "a/x/_SUCCESS",
    ]
    return {place: lines({**FIRST, "image_id": place}) for place in places}


NAMED = [
    ("a/x/1.jsonl", ["a/x/1.jsonl"]),
    ("a/x/", ["a/x/1.jsonl", "a/x/2.jsonl"]),
    ("a/x", ["a/x/1.jsonl", "a/x/2.jsonl"]),
    ("", ["a/x/1.jsonl", "a/x/2.jsonl", "a/y/4.txt", "a/y/deep/3.jsonl", "b/5.jsonl"]),
    ("*/x/*", ["a/x/1.jsonl", "a/x/2.jsonl"]),
    ("a/x/[!1].jsonl", ["a/x/2.jsonl"]),
    ("a/?/4.txt", ["a/y/4.txt"]),
    ("a/*", ["a/x/1.jsonl", "a/x/2.jsonl", "a/y/4.txt", "a/y/deep/3.jsonl"]),
    ("**/*.jsonl", ["a/x/1.jsonl", "a/x/2.jsonl", "a/y/deep/3.jsonl", "b/5.jsonl"]),
    ("a/**/deep/*", ["a/y/deep/3.jsonl"]),
    ("**/y/**", ["a/y/4.txt", "a/y/deep/3.jsonl"]),
]
"""Names below the bucket with `tree`, and the logs that they stand for."""


@pytest.mark.parametrize(("name", "expected"), NAMED)
def test_objects_folders_and_globs(detmon: Shell, put: Put, name: str, expected: list[str]) -> None:
    put(tree())
    done = detmon("ingest", f"s3://logs/{name}", "--json")
    assert (paths(done), done.json["predictions"]) == (expected, len(expected))


def test_every_format_and_compression(detmon: Shell, put: Put, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist([{**FIRST, "tags": None, "image_id": "p.jpg"}]), tmp_path / "log.parquet")
    csv = b"image_id,timestamp,label,confidence,x1,y1,x2,y2\nc.jpg,2026-11-20T08:00:00Z,car,0.9,1,2,30,40\n"
    coco = b"""{"images": [{"id": 1, "file_name": "o.jpg", "date_captured": "2026-11-20T08:00:00Z"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.5}],
        "categories": [{"id": 3, "name": "bus"}]}"""
    zstd = pa.compress(lines({**FIRST, "image_id": "z.jpg"}), codec="zstd", asbytes=True)
    put({"1.parquet": (tmp_path / "log.parquet").read_bytes(), "2.csv": csv, "3.json": coco, "4.zst": zstd})
    put({"5.gz": gzip.compress(lines({**FIRST, "image_id": "g.jpg"})), "6.jsonl": lines(FIRST)})
    detmon("ingest", "s3://logs/", "--model", "m@1", "--start", "2026-11-20T08:00:00Z", "--image-size", "640x480")
    rows = detmon("sql", "SELECT image_id FROM predictions ORDER BY 1", "--json").json
    assert [row["image_id"] for row in rows] == ["000123.jpg", "c.jpg", "g.jpg", "o.jpg", "p.jpg", "z.jpg"]


def test_a_folder_of_one_file_an_image_is_refused(detmon: Shell, put: Put) -> None:
    put({f"labels/{k}.txt": b"2 0.31 0.42 0.10 0.07 0.9134\n" for k in (1, 2)})
    said = ("--model", "m@1", "--start", "2026-11-20T08:00:00Z", "--image-size", "640x480")
    refused = detmon("ingest", "s3://logs/labels/", *said, code=4)
    assert refused.err.count("copy the folder") == 2


def test_partitions(detmon: Shell, put: Put) -> None:
    put({f"t/model_id=veh%40{k}/source=cam {k}/dt=2026-11-20/part.jsonl": lines(BARE) for k in (1, 2)})
    assert detmon("ingest", "s3://logs/t/model_id=*/", "--json").json["predictions"] == 2
    rows = detmon("sql", "SELECT model_id, source FROM predictions ORDER BY 1", "--json").json
    assert rows == [{"model_id": f"veh@{k}", "source": f"cam {k}"} for k in (1, 2)]


def test_an_object_that_was_read_is_not_asked_for_again(detmon: Shell, faulty: Files) -> None:
    first = detmon("ingest", "s3://logs/log.jsonl", "--json")
    assert first.json["predictions"] == 2000
    assert len(faulty.gets()) == 1
    again = detmon("ingest", "s3://logs/log.jsonl", "--json")
    assert again.json["files"][0]["status"] == "seen"
    assert len(faulty.gets()) == 1
    faulty.content["/logs/log.jsonl"] = LOG + lines(SECOND)
    more = detmon("ingest", "s3://logs/log.jsonl", "--json").json
    assert (more["predictions"], more["duplicates"]) == (1, 2000)


def test_an_object_written_just_now_is_told_by_its_content(detmon: Shell, put: Put) -> None:
    one, other = (lines({**FIRST, "image_id": f"{k}.jpg"}) for k in (1, 2))
    assert len(one) == len(other)
    for content in (one, other):
        put({"log.jsonl": content})
        assert detmon("ingest", "s3://logs/log.jsonl", "--json").json["predictions"] == 1
    assert detmon("ingest", "s3://logs/log.jsonl", "--json").json["files"][0]["status"] == "seen"


def test_a_copy_of_what_was_read_is_copied_once(detmon: Shell, faulty: Files) -> None:
    detmon("ingest", "s3://logs/log.jsonl")
    faulty.content["/logs/copy.jsonl"] = LOG
    for _ in range(2):
        assert detmon("ingest", "s3://logs/copy.jsonl", "--json").json["files"][0]["status"] == "seen"
    assert [path for method, path, _ in faulty.asked if method == "GET"].count("/logs/copy.jsonl") == 1


def test_dry_run_writes_nothing(detmon: Shell, put: Put) -> None:
    put(tree())
    done = detmon("ingest", "s3://logs/**", "--dry-run", "--json")
    assert [file["predictions"] for file in done.json["files"]] == [1] * 5
    assert not (detmon.folder / "detmon.duckdb").exists()


def test_the_first_bad_row_refuses_the_object(detmon: Shell, put: Put) -> None:
    put({"log.jsonl": LOG + b"{nonsense\n"})
    refused = detmon("ingest", "s3://logs/log.jsonl", "--bad-rows", "fail", code=4)
    assert "s3://logs/log.jsonl:2001" in refused.err
    assert detmon("ingest", "s3://logs/log.jsonl", "--json").json["rejected"] == 1


def test_options_by_address_in_the_configuration(detmon: Shell, put: Put) -> None:
    put({"cam/log.jsonl": lines({name: value for name, value in FIRST.items() if name != "model_id"})})
    (detmon.folder / "detmon.toml").write_text('[ingest."s3://logs/cam/*"]\nmodel = "from-config@1"\n')
    detmon("ingest", "s3://logs/cam/")
    assert detmon("sql", "SELECT model_id FROM predictions", "--json").json == [{"model_id": "from-config@1"}]


def test_drift_of_two_logs_and_feedback_by_address(detmon: Shell, put: Put) -> None:
    hours = [(day, hour) for day in range(1, 19) for hour in range(24)]
    days = [{**FIRST, "timestamp": f"2026-11-{d:02d}T{h:02d}:00:00Z", "image_id": f"{d}-{h}"} for d, h in hours]
    put(
        {
            "old.jsonl": lines(*days[:216]),
            "new.jsonl": lines(*days[216:]),
            "one.jsonl": lines({**FIRST, "prediction_id": "p"}),
        }
    )
    logs = ("--reference-log", "s3://logs/old.jsonl", "--current-log", "s3://logs/new.jsonl")
    report = detmon("drift", "check", *logs, "--json", code=None).json
    assert report["reference_period"].startswith("2026-11-01")
    put({"verdicts.csv": b"prediction_id,detection_index,feedback_type\np,0,correct\n"})
    detmon("ingest", "s3://logs/one.jsonl")
    assert detmon("feedback", "import", "s3://logs/verdicts.csv", "--json").json["accepted"] == 1
    assert "holds 4 objects" in detmon("feedback", "import", "s3://logs/", code=2).err


def test_ground_truth_by_address(detmon: Shell, put: Put) -> None:
    truth = b"""{"images": [{"id": 1, "file_name": "000123.jpg"}], "categories": [{"id": 3, "name": "car"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [10, 20, 100, 60], "iscrowd": 0}]}"""
    put({"log.jsonl": lines(FIRST), "truth.json": truth})
    detmon("ingest", "s3://logs/log.jsonl")
    done = detmon("feedback", "match", "s3://logs/truth.json", "--model", "veh@3", "--json").json
    assert (done["file"], done["feedback"]["correct"]) == ("s3://logs/truth.json", 1)


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("s3://nowhere/log.jsonl", 4, "there is no such bucket"),
        ("s3://nowhere/", 4, "there is no such bucket"),
        ("s3://logs/none.jsonl", 2, "there is nothing at s3://logs/none.jsonl"),
        ("s3://logs/*.none", 2, "nothing matches s3://logs/*.none"),
        ("s3://key:planted@logs/log.jsonl", 2, "no credentials in an address"),
        ("s3:///log.jsonl", 2, "names no bucket"),
    ],
)
def test_names_of_nothing(detmon: Shell, put: Put, name: str, code: int, said: str) -> None:
    failed = detmon("ingest", name, code=code)
    assert said in failed.err
    assert "planted" not in failed.err


@pytest.mark.parametrize(
    ("status", "said", "hint"),
    [
        (403, "access is denied", "AWS_PROFILE"),
        (401, "access is denied", "AWS_PROFILE"),
        (404, "it is not there", None),
        (301, "in another region", "AWS_DEFAULT_REGION"),
        (418, "cannot read s3://logs/log.jsonl", None),
    ],
)
def test_answers_that_do_not_change(detmon: Shell, faulty: Files, status: int, said: str, hint: str | None) -> None:
    faulty.faults.extend([status] * 20)
    failed = detmon("ingest", "s3://logs/log.jsonl", code=4)
    assert said in failed.err
    assert hint is None or hint in failed.err
    assert not re.search("planted", failed.err)


@pytest.mark.parametrize(
    "code", ["ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "SlowDown", "RequestTimeTooSkewed"]
)
def test_what_a_server_says_has_a_hint(code: str) -> None:
    texts = {
        "ExpiredToken": "AWS Error UNKNOWN (HTTP status 400) during HeadBucket: ExpiredToken: the token is expired",
        "InvalidAccessKeyId": "AWS Error INVALID_ACCESS_KEY_ID during ListObjectsV2 operation: planted-key-id",
        "SignatureDoesNotMatch": "AWS Error SIGNATURE_DOES_NOT_MATCH during ListObjectsV2 operation: planted-key-id",
        "RequestTimeTooSkewed": "AWS Error REQUEST_TIME_TOO_SKEWED during GetObject operation: planted-key-id",
        "SlowDown": "AWS Error SLOW_DOWN during GetObject operation: Please reduce your request rate",
    }
    told = buckets.told("s3://logs/a", texts[code])
    assert told.hint
    assert "operation" not in told.message
    assert "planted" not in told.message + told.hint


def test_failures_of_a_moment_are_tried_again(detmon: Shell, faulty: Files) -> None:
    faulty.faults.extend([503, LOG[:1000], 500])
    assert detmon("ingest", "s3://logs/log.jsonl", "--json").json["predictions"] == 2000


def test_nothing_of_an_object_that_stays_broken_is_read(detmon: Shell, faulty: Files) -> None:
    faulty.faults.extend([LOG[:100_000]] * 40)
    failed = detmon("ingest", "s3://logs/log.jsonl", code=4)
    assert "cannot read s3://logs/log.jsonl" in failed.err
    faulty.faults.clear()
    done = detmon("ingest", "s3://logs/log.jsonl", "--json").json
    assert (done["predictions"], done["duplicates"]) == (2000, 0)


def test_a_server_that_is_not_there(detmon: Shell, clean: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:planted-secret@127.0.0.1:1")
    monkeypatch.setattr(buckets, "ATTEMPTS", 1)
    failed = detmon("ingest", "s3://logs/log.jsonl", code=4)
    assert "AWS_ENDPOINT_URL (http://127.0.0.1:1)" in failed.err
    assert "planted" not in failed.err


def test_an_object_that_changes_while_it_is_read(detmon: Shell, faulty: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "BLOCK", 100_000)
    found = list(buckets.objects("s3://logs/log.jsonl"))
    faulty.content["/logs/log.jsonl"] = LOG[: len(LOG) // 2]
    with (detmon.folder / "copy").open("wb") as file, pytest.raises(Exception, match="was changed while it was read"):
        found[0].fetch(file, None)


def test_without_credentials_on_request(detmon: Shell, faulty: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    detmon("ingest", "s3://logs/log.jsonl")
    assert "planted-key-id" in faulty.asked[0][2]["Authorization"]
    faulty.asked.clear()
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    detmon("ingest", "s3://logs/log.jsonl")
    assert "Authorization" not in faulty.asked[0][2]


def test_a_profile_of_the_credentials_file(detmon: Shell, faulty: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name)
    (detmon.folder / "credentials").write_text("[prod]\naws_access_key_id = of-prod\naws_secret_access_key = x\n")
    env = {"AWS_PROFILE": "prod", "AWS_SHARED_CREDENTIALS_FILE": str(detmon.folder / "credentials")}
    assert detmon.process("ingest", "s3://logs/log.jsonl", env=env).returncode == 0
    assert "of-prod" in faulty.asked[0][2]["Authorization"]


def test_many_small_objects(detmon: Shell, put: Put) -> None:
    put({f"many/{k:04d}.jsonl": lines({**FIRST, "image_id": f"{k}.jpg"}) for k in range(60)})
    done = detmon("ingest", "s3://logs/many/", "--json")
    assert paths(done) == [f"many/{k:04d}.jsonl" for k in range(60)]
    assert done.json["predictions"] == 60


def test_following_an_object_is_refused(detmon: Shell, put: Put) -> None:
    put({"log.jsonl": LOG})
    assert "--follow takes a file of this machine" in detmon("ingest", "s3://logs/log.jsonl", "--follow", code=2).err


def test_pictures_of_a_version(detmon: Shell, put: Put) -> None:
    """One connection serves all of them; a key with the letters of a glob is a name."""
    ids = ["a b.png", "ä/[1]*.png", "gone.png"]
    put({f"images/{one}": png(640, 480) for one in ids[:2]})
    lines = [line(one, ("car", 0.9, CAR), image_uri=f"s3://logs/images/{one}") for one in ids]
    reviewed(detmon, lines, [said(one, "correct", 0) for one in ids])
    create(detmon, "v1")
    done = detmon("export", "v1", "--format", "yolo", "--out", "out", "--json").json
    assert done["images"] == 2
    assert done["left_out"] == {"image_unreadable": 1}
    assert [one.read_bytes() for one in Path("out/images").rglob("*.png")] == [png(640, 480)] * 2
