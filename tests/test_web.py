"""Logs behind https://, against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Shell
from objects import LOG, ZIPPED, Files, serving
from test_email import certificate

from detmon.formats import web

HALF = b"x" * (len(LOG) // 2)
SECRET = "X-Amz-Signature=abcdef0123"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    monkeypatch.setattr(web, "PAUSE", 0.01)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as files:
        files.content["/log.jsonl"] = LOG
        yield files


@pytest.fixture
def safe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Files]:
    monkeypatch.setattr(web, "PAUSE", 0.01)
    trusted, context = certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted))
    with serving(context) as files:
        files.content["/log.jsonl"] = LOG
        yield files


def test_a_file_is_read_once(detmon: Shell, server: Files) -> None:
    assert detmon("ingest", f"{server.url}/log.jsonl", "--dry-run", "--json").json["files"][0]["predictions"] == 2000
    done = detmon("ingest", f"{server.url}/log.jsonl", "--json").json
    assert (done["predictions"], done["files"][0]["path"]) == (2000, f"{server.url}/log.jsonl")
    server.asked.clear()
    assert detmon("ingest", f"{server.url}/log.jsonl", "--json").json["files"][0]["status"] == "seen"
    assert "If-None-Match" in server.gets()[0]
    server.content["/log.jsonl"] = LOG + LOG[:-200].rpartition(b"\n")[2]
    again = detmon("ingest", f"{server.url}/log.jsonl", "--json").json
    assert (again["duplicates"], again["rejected"]) == (2000, 1)


def test_without_an_etag_the_content_decides(detmon: Shell, server: Files) -> None:
    server.etags = False
    assert detmon("ingest", f"{server.url}/log.jsonl", "--json").json["predictions"] == 2000
    assert detmon("ingest", f"{server.url}/log.jsonl", "--json").json["files"][0]["status"] == "seen"
    assert "If-None-Match" not in server.gets()[1]


def test_gzip_as_a_file_and_as_an_encoding(detmon: Shell, server: Files) -> None:
    server.content["/log.gz"] = ZIPPED
    assert detmon("ingest", f"{server.url}/log.gz", "--json").json["predictions"] == 2000
    assert server.gets()[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(("ranges", "etags"), [(True, True), (True, False), (False, False)])
def test_what_breaks_off_is_read_whole(detmon: Shell, server: Files, ranges: bool, etags: bool) -> None:
    server.ranges, server.etags = ranges, etags
    server.faults.extend([HALF, 503, HALF[:100]])
    assert detmon("ingest", f"{server.url}/log.jsonl", "--json").json["predictions"] == 2000
    resumed = [headers.get("Range") for headers in server.gets()]
    assert resumed[:3] == ([None] + [f"bytes={len(HALF)}-"] * 2 if ranges and etags else [None] * 3)
    assert len(resumed) == 4


def test_a_file_that_changes_meanwhile_is_read_from_its_beginning(server: Files, tmp_path: Path) -> None:
    server.faults.append(HALF)
    page = web.Page(f"{server.url}/log.jsonl")

    def change(seconds: float) -> None:
        server.content["/log.jsonl"] = LOG[: len(LOG) // 4]

    with (tmp_path / "copy").open("wb+") as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(web.time, "sleep", change)
        page.fetch(file, None)
        file.seek(0)
        assert file.read() == LOG[: len(LOG) // 4]


def test_nothing_of_a_file_that_stays_broken_is_read(detmon: Shell, server: Files) -> None:
    server.ranges = False
    server.faults.extend([HALF] * web.ATTEMPTS)
    failed = detmon("ingest", f"{server.url}/log.jsonl", code=4)
    assert "the connection broke off (5 attempts)" in failed.err
    assert detmon("ingest", f"{server.url}/log.jsonl", "--json").json["duplicates"] == 0


@pytest.mark.parametrize(
    ("fault", "said"),
    [(404, "it is not there"), (403, "is the signed URL expired?"), (401, "log-in"), (418, "the server answered 418")],
)
def test_answers_that_do_not_change(detmon: Shell, server: Files, fault: int, said: str) -> None:
    server.faults.append(fault)
    assert said in detmon("ingest", f"{server.url}/log.jsonl", code=4).err
    assert len(server.asked) == 1


def test_too_many_requests_wait_as_long_as_the_server_says(
    detmon: Shell, server: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(web.time, "sleep", waits.append)
    server.faults.extend([(429, {"Retry-After": "7"}), (503, {"Retry-After": "3600"}), 500])
    assert detmon("ingest", f"{server.url}/log.jsonl", "--json").json["predictions"] == 2000
    assert [wait for wait in waits if wait > 1] == [7, web.LONGEST_PAUSE]


def test_a_server_that_is_silent(detmon: Shell, server: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "ATTEMPTS", 2)
    monkeypatch.setattr(web, "SILENT_SECONDS", 0.2)
    import socket

    with socket.create_server(("127.0.0.1", 0)) as mute:
        failed = detmon("ingest", f"http://127.0.0.1:{mute.getsockname()[1]}/log.jsonl", code=4)
    assert "the server does not answer" in failed.err


def test_redirects_stay_within_https(detmon: Shell, server: Files, safe: Files) -> None:
    safe.content["/log.jsonl"] = LOG
    assert detmon("ingest", f"{safe.url}/log.jsonl", "--json").json["predictions"] == 2000
    safe.faults.append((302, {"Location": f"{safe.url}/log.jsonl?{SECRET}"}))
    assert detmon("ingest", f"{safe.url}/old?{SECRET}", "--json").json["files"][0]["status"] == "seen"
    safe.faults.append((302, {"Location": f"{server.url}/log.jsonl?{SECRET}"}))
    failed = detmon("ingest", f"{safe.url}/old", code=4)
    assert "it leads out of https" in failed.err
    assert SECRET not in failed.err
    assert server.asked == []
    safe.faults.extend([(302, {"Location": "/again"})] * 9)
    assert "more than 5 redirects" in detmon("ingest", f"{safe.url}/old", code=4).err


def test_a_certificate_that_is_not_trusted(detmon: Shell, safe: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    failed = detmon("ingest", f"{safe.url}/log.jsonl", code=4)
    assert "the certificate of the server is not trusted" in failed.err
    assert "REQUESTS_CA_BUNDLE" in failed.err


@pytest.mark.parametrize("url", ["http://192.0.2.1/log.jsonl", "https:///log.jsonl", "https://[bad/log.jsonl"])
def test_addresses_that_are_not_asked(detmon: Shell, url: str) -> None:
    assert "https://" in detmon("ingest", url, code=2).err


def test_no_secret_of_an_address_is_shown_or_stored(detmon: Shell, server: Files) -> None:
    host = server.url.removeprefix("http://")
    url = f"http://user:passw0rd@{host}/log.jsonl?{SECRET}#part"
    server.content["/bad.jsonl"] = b"{nonsense\n" * 3 + LOG
    texts = [
        detmon("ingest", url, "--dry-run"),
        detmon("ingest", url, "--json"),
        detmon("ingest", url.replace("log.jsonl", "bad.jsonl")),
        detmon("quarantine", "list"),
        detmon("ingest", url.replace("log.jsonl", "none.jsonl"), code=4),
        detmon("feedback", "import", url, code=None),
        detmon("sql", "SELECT path, version FROM batches"),
    ]
    for secret in ("passw0rd", "abcdef0123"):
        assert all(secret not in text.out + text.err for text in texts)
        assert secret.encode() not in (detmon.folder / "detmon.duckdb").read_bytes()


def test_two_queries_are_two_logs(detmon: Shell, server: Files) -> None:
    assert detmon("ingest", f"{server.url}/log.jsonl?day=1", "--json").json["predictions"] == 2000
    detmon("ingest", f"{server.url}/log.jsonl?day=2")
    assert "If-None-Match" not in server.gets()[1]


def test_the_list_of_images_and_of_names_by_address(detmon: Shell, server: Files) -> None:
    results = b'[{"image_id": 7, "category_id": 3, "bbox": [1, 2, 30, 40], "score": 0.5}]'
    images = b'{"images": [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "b.jpg"}]}'
    server.content |= {"/results.json": results, "/images.json": images, "/more.json": results.replace(b"0.5", b"0.6")}
    server.content["/names.json"] = b'{"3": "bus"}'
    sources = [f"{server.url}/{name}.json" for name in ("results", "more")]
    said = ["--model", "m@1", "--start", "2026-11-20T08:00:00Z", "--images", f"{server.url}/images.json?{SECRET}"]
    detmon("ingest", *sources, *said, "--categories", f"{server.url}/names.json", "--json", code=None)
    rows = detmon("sql", "SELECT image_id, detections[1].label AS label FROM predictions ORDER BY 1", "--json").json
    assert rows[0] == {"image_id": "a.jpg", "label": "bus"}
    assert rows[1]["image_id"] == "b.jpg"
    assert [path for _, path, _ in server.asked].count(f"/images.json?{SECRET}") == 1


def test_a_disk_without_room(detmon: Shell, server: Files) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        failed = detmon("ingest", f"{server.url}/log.jsonl", code=4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "no room for its copy" in failed.err
    assert "TMPDIR=" in failed.err
