"""Logs in Google Cloud Storage: against a server that speaks its JSON API, and fails as told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Shell
from gcs import Bucket
from logs import FIRST, SECOND, lines
from objects import LOG, ZIPPED, serving
from test_buckets import NAMED, paths, tree

from detmon.formats import buckets


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    """A bucket `logs` that is asked without credentials."""
    for name in [name for name in os.environ if name.startswith(("GOOGLE_", "GS_", "CLOUDSDK_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    made = Bucket()
    with serving(files=made):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", made.url)
        yield made


@pytest.mark.parametrize(("name", "expected"), NAMED)
def test_objects_folders_and_globs(detmon: Shell, bucket: Bucket, name: str, expected: list[str]) -> None:
    bucket.content, bucket.page = tree(), 2
    done = detmon("ingest", f"gs://logs/{name}", "--json")
    assert [path.removeprefix("gs://logs/") for path in paths(done)] == expected
    assert done.json["predictions"] == len(expected)
    assert all("Authorization" not in headers for headers in bucket.gets())


def test_an_object_that_was_read_is_not_asked_for_again(detmon: Shell, bucket: Bucket) -> None:
    bucket.content["log.jsonl.gz"] = ZIPPED
    assert detmon("ingest", "gs://logs/log.jsonl.gz", "--json").json["predictions"] == 2000
    assert detmon("ingest", "gs://logs/log.jsonl.gz", "--json").json["files"][0]["status"] == "seen"
    assert sum("alt=media" in path for _, path, _ in bucket.asked) == 1
    bucket.content["log.jsonl.gz"] = LOG + lines(SECOND)
    more = detmon("ingest", "gs://logs/log.jsonl.gz", "--json").json
    assert (more["predictions"], more["duplicates"]) == (1, 2000)


def test_an_emulator_may_be_named_without_scheme(
    detmon: Shell, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.content["log.jsonl"] = lines(FIRST)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket.url.removeprefix("http://"))
    assert detmon("ingest", "gs://logs/log.jsonl", "--json").json["predictions"] == 1


@pytest.mark.parametrize(
    ("status", "said"), [(401, "access is denied"), (403, "access is denied"), (404, "it is not there"), (418, "418")]
)
def test_answers_that_do_not_change(detmon: Shell, bucket: Bucket, status: int, said: str) -> None:
    bucket.content = {"a.jsonl": LOG, "b.jsonl": lines({**FIRST, "image_id": "b.jpg"})}
    bucket.faults.append(status)
    failed = detmon("ingest", "gs://logs/a.jsonl", "gs://logs/b.jsonl", "--json", code=4)
    assert said in failed.err
    assert sum(file["predictions"] for file in failed.json["files"]) in (1, 2000)  # the other one is read


def test_access_to_the_bucket_is_denied(detmon: Shell, bucket: Bucket) -> None:
    bucket.all_fail = True
    bucket.faults.extend([403] * 9)
    failed = detmon("ingest", "gs://logs/", code=4)
    assert "access is denied" in failed.err
    assert "GOOGLE_APPLICATION_CREDENTIALS=FILE" in failed.err


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("gs://nowhere/log.jsonl", 4, "there is no such bucket"),
        ("gs://nowhere/", 4, "there is no such bucket"),
        ("gs://logs/none.jsonl", 2, "there is nothing at gs://logs/none.jsonl"),
        ("gs://logs/*.none", 2, "nothing matches gs://logs/*.none"),
    ],
)
def test_names_of_nothing(detmon: Shell, bucket: Bucket, name: str, code: int, said: str) -> None:
    bucket.content["log.jsonl"] = LOG
    assert said in detmon("ingest", name, code=code).err


def test_failures_of_a_moment_are_tried_again(detmon: Shell, bucket: Bucket) -> None:
    bucket.content["log.jsonl"] = LOG
    bucket.faults.extend([503, LOG[:1000]])
    assert detmon("ingest", "gs://logs/log.jsonl", "--json").json["predictions"] == 2000


def test_nothing_of_an_object_that_stays_broken_is_read(
    detmon: Shell, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "GOOGLE_SECONDS", 1.0)
    bucket.content["log.jsonl"] = LOG
    bucket.faults.extend([LOG[:100_000]] * 40)
    failed = detmon("ingest", "gs://logs/log.jsonl", code=4)
    assert "the server cannot" in failed.err
    assert "run it again later" in failed.err or "nothing of it was read" in failed.err
    bucket.faults.clear()
    done = detmon("ingest", "gs://logs/log.jsonl", "--json").json
    assert (done["predictions"], done["duplicates"]) == (2000, 0)


def test_a_server_that_is_not_there(detmon: Shell, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "GOOGLE_SECONDS", 1.0)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://user:planted@127.0.0.1:1")
    failed = detmon("ingest", "gs://logs/log.jsonl", code=4)
    assert "cannot be reached" in failed.err
    assert "STORAGE_EMULATOR_HOST (http://127.0.0.1:1)" in failed.err
    assert "planted" not in failed.err


def test_an_object_that_changes_while_it_is_read(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(buckets, "BLOCK", 100_000)
    bucket.content["log.jsonl"] = LOG
    (found,) = buckets.objects("gs://logs/log.jsonl")
    bucket.content["log.jsonl"] = LOG[: len(LOG) // 2]
    with (tmp_path / "copy").open("wb") as file, pytest.raises(Exception, match="was changed while it was read"):
        found.fetch(file, None)


@pytest.mark.parametrize("content", [None, "{nonsense"])
def test_credentials_that_are_none(
    detmon: Shell, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    file = detmon.folder / "key.json"
    if content:
        file.write_text(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    failed = detmon("ingest", "gs://logs/log.jsonl", code=4)
    assert "there are no credentials" in failed.err
    assert "GOOGLE_APPLICATION_CREDENTIALS=FILE" in failed.err


WITHOUT_TOKEN = "UNAVAILABLE: Retry policy exhausted, with a last message of Could not create a OAuth2 access token"


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        (f"{WITHOUT_TOKEN} … CURL error [6]=Could not resolve hostname", "there are no credentials", "GS_NO_SIGN"),
        (f"{WITHOUT_TOKEN} … invalid_grant: Token has been expired or revoked.", "expired", "gcloud auth"),
        ("UNAVAILABLE: … PerformWork() - CURL error [6]=Could not resolve hostname", "cannot be reached", "network"),
        ("DEADLINE_EXCEEDED: Retry policy exhausted in Read()", "cannot answer now", "later"),
    ],
)
def test_what_google_says_has_a_hint(text: str, said: str, hint: str) -> None:
    told = buckets.told("gs://logs/a", f"google::cloud::Status({text})")
    assert said in told.message
    assert told.hint
    assert hint in told.hint


def test_a_real_public_bucket(detmon: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """`DETMON_TEST_GS=gs://BUCKET/LOG`: a log that everybody can read, from Google itself."""
    address = os.environ.get("DETMON_TEST_GS")
    if not address:
        pytest.skip("no log in Google Cloud Storage to read (DETMON_TEST_GS)")
    monkeypatch.setenv("GS_NO_SIGN_REQUEST", "YES")
    assert detmon("ingest", address, "--json").json["predictions"] > 0
