"""The trainer `github` against a server that keeps GitHub's rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from github_server import REPOSITORY, TOKEN, WORKFLOW, GitHubServer, serving

from detmon import environment
from detmon.errors import ConfigError, DetmonError, OperationError, UsageError
from detmon.hookspecs import Secret, TrainedModel, TrainerConfig, TrainingTask
from detmon.training.github import GitHub

JOB = "tj_0123456789ab"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHubServer]:
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    with serving() as made:
        monkeypatch.setenv("GITHUB_API_URL", made.url)
        yield made


def secret(name: str) -> Secret | None:
    found = environment.value(name)
    return Secret(found) if found else None


def trainer(**table: Any) -> GitHub:
    said = {"repository": REPOSITORY, "workflow": WORKFLOW, **table}
    return GitHub(TrainerConfig({key: value for key, value in said.items() if value}, Path(), {}, secret))


def task(folder: Path, base: str | None = None) -> TrainingTask:
    return TrainingTask(JOB, "n", folder / "dataset", folder, folder, "dv_1", "sha256:1", base, timedelta(hours=1))


def test_a_run_from_its_dispatch_to_its_model(server: GitHubServer, tmp_path: Path) -> None:
    github = trainer()
    assert github.exports
    planned = github.plan(task(tmp_path, "s3://m/1.pt"))
    assert planned[0] == f"{REPOSITORY}/{WORKFLOW}@main"
    assert f"job={JOB}" in planned
    handle = github.start(task(tmp_path, "s3://m/1.pt"))
    assert server.inputs[1000] == {
        "job": JOB, "dataset": str(tmp_path / "dataset"), "version": "dv_1", "digest": "sha256:1",
        "base_model": "s3://m/1.pt",
    }  # fmt: skip
    assert TOKEN not in handle
    assert trainer().poll(handle).status == "queued"
    server.runs[1000]["status"] = "in_progress"
    found = trainer().poll(handle)
    assert (found.status, found.log) == ("running", f"https://github.com/{REPOSITORY}/actions/runs/1000")
    with pytest.raises(OperationError, match="has the log when the run is over"):
        trainer().log(handle)
    server.finish(1000, model='{"name": "v", "version": "4", "uri": "s3://m/4.pt"}')
    found = trainer().poll(handle)
    assert (found.status, found.exit_code, found.seconds) == ("succeeded", 0, 300)
    assert found.model == TrainedModel("v", "4", "s3://m/4.pt")
    assert trainer().log(handle) == "trained\n"
    trainer().cancel(handle)  # of no effect
    assert trainer().poll(handle) == found


def test_a_run_that_describes_no_model(server: GitHubServer, tmp_path: Path) -> None:
    handle = trainer().start(task(tmp_path))
    server.finish(1000)
    found = trainer().poll(handle)
    assert (found.status, found.model) == ("succeeded", TrainedModel(uri=server.runs[1000]["html_url"]))
    server.finish(1000, other="{}")
    assert "has no model.json" in (trainer().poll(handle).reason or "")
    server.finish(1000, model="{")
    found = trainer().poll(handle)
    assert (found.status, "is no JSON" in (found.reason or "")) == ("failed", True)


@pytest.mark.parametrize("conclusion", ["failure", "timed_out", "startup_failure", "skipped", "stale", "neutral"])
def test_a_run_that_fails(server: GitHubServer, tmp_path: Path, conclusion: str) -> None:
    handle = trainer().start(task(tmp_path))
    server.finish(1000, conclusion)
    found = trainer().poll(handle)
    assert (found.status, found.exit_code, found.reason) == ("failed", None, f"the run's conclusion is {conclusion}")


def test_cancel(server: GitHubServer, tmp_path: Path) -> None:
    handle = trainer().start(task(tmp_path))
    trainer().cancel(handle)
    assert trainer().poll(handle).status == "cancelled"


def test_a_server_that_does_not_say_which_run_it_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    with serving(old=True) as server:
        monkeypatch.setenv("GITHUB_API_URL", server.url)
        others = [trainer().start(TrainingTask(**{**vars(task(tmp_path)), "id": f"tj_{n:012x}"})) for n in range(3)]
        handle = trainer().start(task(tmp_path))
        server.finish(1003, model='{"name": "mine"}')
        assert trainer().poll(handle).model == TrainedModel("mine", None, server.runs[1003]["html_url"])
        assert {trainer().poll(other).status for other in others} == {"queued"}
        found = trainer().find(task(tmp_path))
        assert found is not None
        assert json.loads(found)["run"] == 1003
        assert trainer().find(TrainingTask(**{**vars(task(tmp_path)), "id": "tj_unknown"})) is None


def test_a_run_that_cannot_be_told_from_others_is_not_guessed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    with serving(old=True, titles=False) as server:
        monkeypatch.setenv("GITHUB_API_URL", server.url)
        handle = trainer().start(task(tmp_path))
        server.finish(1000)
        found = trainer().poll(handle)
        assert (found.status, "run-name" in (found.reason or "")) == ("queued", True)
        with pytest.raises(OperationError, match="there is none to cancel"):
            trainer().cancel(handle)


def test_with_an_address_nothing_is_exported(server: GitHubServer, tmp_path: Path) -> None:
    github = trainer(address="s3://data/{digest}", inputs={"job": "{job}", "dataset": "{dataset}"}, ref="v2")
    assert not github.exports
    github.start(task(tmp_path))
    assert server.inputs[1000] == {"job": JOB, "dataset": "s3://data/sha256:1"}


REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"workflow": "other.yml"}, "does not have the workflow 'other.yml'"),
    ({"repository": "acme/other"}, "or the token cannot see it"),
    ({"ref": "gone"}, "No ref found for: gone"),
    ({"inputs": {"job": "{job}", "dataset": "{dataset}", "colour": "red"}}, r"Unexpected inputs provided: \[.colour"),
    ({"inputs": {"job": "{job}"}}, "Required input 'dataset' not provided"),
]


@pytest.mark.parametrize(("table", "says"), REFUSALS)
def test_what_github_refuses(server: GitHubServer, tmp_path: Path, table: dict[str, Any], says: str) -> None:
    with pytest.raises(OperationError, match=says):
        trainer(**table).start(task(tmp_path))
    assert not server.runs


ANSWERS: list[tuple[int, dict[str, str], Any, str]] = [
    (401, {}, {"message": "Bad credentials"}, "refuses the token"),
    (403, {}, {"message": "Resource not accessible by personal access token"}, "may not use"),
    (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1795168800"}, {}, "used up until 2026-11-20 10:00 UTC"),
    (403, {"Retry-After": "60"}, {"message": "You have exceeded a secondary rate limit"}, "used up for 60 s"),
    (429, {"X-RateLimit-Remaining": "0"}, {}, "rate limit is used up"),
    (500, {}, None, "answered 500"),
    (502, {}, {"message": "Server Error"}, "answered 502"),
    (200, {}, ["no object"], "is no JSON object"),
]


@pytest.mark.parametrize(("status", "headers", "content", "says"), ANSWERS)
def test_errors_in_plain_words(
    server: GitHubServer, tmp_path: Path, status: int, headers: dict[str, str], content: Any, says: str
) -> None:
    handle = trainer().start(task(tmp_path))
    for call in (lambda: trainer().poll(handle), lambda: trainer().start(task(tmp_path))):
        server.answers.append((status, headers, content))
        with pytest.raises(OperationError, match=says) as error:
            call()
        assert TOKEN not in str(error.value)


def test_no_answer(server: GitHubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:9")
    with pytest.raises(OperationError, match=r"no answer from 127\.0\.0\.1 \(ConnectionError\); a run may have been"):
        trainer().start(task(tmp_path))
    monkeypatch.setenv("GITHUB_API_URL", "http://github.example.com")
    with pytest.raises(ConfigError, match="must begin with https"):
        trainer().start(task(tmp_path))


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"repository": None}, "has no repository"),
        ({"repository": "detector"}, "repository = 'detector'"),
        ({"workflow": None}, "has no workflow"),
        ({"inputs": {"job": "{jbo}"}}, "unknown placeholder"),
        ({"token": "env:NO_SUCH_TOKEN"}, "no token for GitHub"),
        ({"token": "ghp_written-into-the-file"}, "no token for GitHub"),
    ],
)
def test_settings_that_cannot_be(server: GitHubServer, tmp_path: Path, table: dict[str, Any], says: str) -> None:
    with pytest.raises(DetmonError, match=says) as error:
        trainer(**table).plan(task(tmp_path))
    assert isinstance(error.value, UsageError)
    assert "ghp_" not in str(error.value)
    assert not server.asked


def test_the_token_may_be_in_a_file(server: GitHubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    (tmp_path / "token").write_text(TOKEN + "\n")
    monkeypatch.setenv("GITHUB_TOKEN_FILE", str(tmp_path / "token"))
    assert trainer().start(task(tmp_path))


def test_handles_of_others(server: GitHubServer) -> None:
    for wrong in ("", "[]", "{}", "nonsense"):
        with pytest.raises(OperationError, match="is no handle"):
            trainer().poll(wrong)
