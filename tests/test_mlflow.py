"""Models by their names in MLflow, and promotions that are told to it."""

from __future__ import annotations

import base64
import json
import os
import socket
from collections.abc import Iterator

import pytest
from conftest import Shell
from mlflow_server import MlflowServer, serving

from detmon import Client


@pytest.fixture
def mlflow(detmon: Shell, request: pytest.FixtureRequest) -> Iterator[MlflowServer]:
    """A registry with vehicles in versions 1 (its champion) and 2; the variable names it."""
    live, record = os.environ.get("MLFLOW_TRACKING_URI"), os.environ.get("DETMON_TEST_RECORD") == "1"
    for name in list(os.environ):
        if name.startswith("MLFLOW_"):
            detmon.monkeypatch.delenv(name)
    with serving(request.node.originalname, live, record=record) as server:
        server.call("DELETE", "registered-models/delete", name="vehicles")
        server.call("POST", "registered-models/create", name="vehicles")
        for version in ("1", "2"):
            server.call("POST", "model-versions/create", name="vehicles", source=f"s3://models/{version}")
        server.call("POST", "registered-models/alias", name="vehicles", alias="champion", version="1")
        server.asked.clear()
        detmon.monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        yield server


def registered(detmon: Shell, *versions: str) -> None:
    for version in versions:
        detmon("model", "register", "vehicles", "--version", version)


def test_an_alias_stands_for_a_model(detmon: Shell, mlflow: MlflowServer) -> None:
    registered(detmon, "1", "2")
    assert detmon("model", "show", "mlflow:vehicles@champion", "--json").json["id"] == "vehicles@1"
    assert detmon("model", "show", "mlflow:vehicles@2", "--json").json["id"] == "vehicles@2"
    assert Client().get_model("mlflow:vehicles@champion").id == "vehicles@1"


def test_wherever_a_model_is_named(detmon: Shell, mlflow: MlflowServer) -> None:
    record = {"timestamp": "2026-11-20T08:00:00Z", "image_id": "1.jpg", "detections": []}
    (detmon.folder / "log.jsonl").write_text(json.dumps(record) + "\n")
    name = "mlflow:vehicles@champion"
    detmon("ingest", "log.jsonl", "--model", name)
    assert [one["id"] for one in detmon("model", "list", "--json").json] == ["vehicles@1"]
    shown = detmon("metric", "show", "prediction_count", "--model", name, "--period", "2026-11-20:2026-11-20", "--json")
    assert shown.json["points"][0]["value"] == 1
    rule = ("--metric", "error_rate", "--operator", "gt", "--threshold", "1", "--window", "1h")
    detmon("alert", "create", "a", "--model", name, *rule)
    assert detmon("alert", "list", "--model", name, "--json").json[0]["model_id"] == "vehicles@1"
    (detmon.folder / "detmon.toml").write_text(
        f'[gate.quiet]\nmodel = "{name}"\nchecks = [{{ check = "alerts", operator = "le", threshold = 0 }}]\n'
    )
    assert "0 alert instances of vehicles@1 fire" in detmon("gate", "quiet").out
    registered(detmon, "2")
    made = detmon("ab", "create", "t", "--model-a", name, "--model-b", "mlflow:vehicles@2", "--json").json
    assert (made["model_a_id"], made["model_b_id"]) == ("vehicles@1", "vehicles@2")


def test_a_promotion_is_told_to_it(detmon: Shell, mlflow: MlflowServer) -> None:
    registered(detmon, "1", "2")
    done = detmon("model", "promote", "vehicles@2")
    assert done.out == "vehicles@2 is champion\n"
    assert f"in MLflow, too ({mlflow.url})" in done.err
    assert detmon("model", "show", "mlflow:vehicles@champion", "--json").json["id"] == "vehicles@2"
    assert detmon("model", "show", "champion", "--json").json["id"] == "vehicles@2"


def test_the_winner_of_a_test_is_its_champion(detmon: Shell, mlflow: MlflowServer) -> None:
    registered(detmon, "1", "2")
    detmon("ab", "create", "t", "--model-a", "mlflow:vehicles@champion", "--model-b", "mlflow:vehicles@2")
    detmon("ab", "promote", "t", "--force")
    assert detmon("model", "show", "mlflow:vehicles@champion", "--json").json["id"] == "vehicles@2"


def test_a_model_that_it_has_not_is_promoted_here(detmon: Shell, mlflow: MlflowServer) -> None:
    registered(detmon, "9")
    done = detmon("model", "promote", "vehicles@9")
    assert "MLflow" not in done.err
    assert not [call for call in mlflow.asked if call.startswith("POST")]


def test_names_that_it_does_not_know(detmon: Shell, mlflow: MlflowServer) -> None:
    registered(detmon, "1")
    for name, says in (
        ("mlflow:vehicles@champoin", "did you mean 'champion'?"),
        ("mlflow:vehicles@9", "unknown version of vehicles in MLflow '9'"),
        ("mlflow:vehicle@champion", "unknown registered model of MLflow 'vehicle'"),
        ("mlflow:vehicles", "for example mlflow:vehicles@champion"),
    ):
        assert says in detmon("model", "show", name, code=2).err
    assert "'latest' alias name" in detmon("model", "promote", "vehicles@1", "--alias", "latest", code=2).err
    assert detmon("model", "show", "vehicles@1", "--json").json["aliases"] == []


def test_a_model_without_a_log_here(detmon: Shell, mlflow: MlflowServer) -> None:
    registered(detmon, "7")
    assert "unknown model 'vehicles@1'" in detmon("model", "show", "mlflow:vehicles@champion", code=2).err


# --- without a registry --------------------------------------------------------------------------------------------


@pytest.fixture
def alone(detmon: Shell) -> Shell:
    for name in list(os.environ):
        if name.startswith("MLFLOW_"):
            detmon.monkeypatch.delenv(name)
    registered(detmon, "1")
    return detmon


@pytest.mark.parametrize(
    ("uri", "code", "says"),
    [
        ("", 2, "no MLflow server is named"),
        ("sqlite:///mlflow.db", 2, "is no address of a server"),
        ("databricks", 2, "is no address of a server"),
        ("http://user:hidden@127.0.0.1:9", 4, "it cannot be reached"),
    ],
)
def test_a_server_that_is_not_there(alone: Shell, uri: str, code: int, says: str) -> None:
    alone.monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    err = alone("model", "show", "mlflow:vehicles@champion", code=code).err
    assert says in err
    assert "hidden" not in err


def test_without_a_registry_a_promotion_is_of_this_store(alone: Shell) -> None:
    assert alone("model", "promote", "vehicles").err == ""
    alone("model", "register", "from", "--version", "3", "--uri", "models:/from/3")
    assert "came from MLflow" in alone("model", "promote", "from@3", code=2).err


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (401, "MLFLOW_TRACKING_TOKEN"),
        (403, "may not"),
        (500, "answered 500"),
        (200, "is not MLflow"),
        (302, "is not MLflow"),
    ],
)
def test_a_server_that_refuses(alone: Shell, status: int, says: str) -> None:
    with serving("test_a_server_that_refuses", "http://127.0.0.1:9", record=False) as server:
        server.status = status
        alone.monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        assert says in alone("model", "show", "mlflow:vehicles@champion", code=4).err
        assert says in alone("model", "promote", "vehicles", code=4).err
    assert alone("model", "show", "vehicles@1", "--json").json["aliases"] == []


def test_credentials_are_those_of_mlflow(alone: Shell) -> None:
    with serving("test_credentials_are_those_of_mlflow", "http://127.0.0.1:9", record=False) as server:
        server.status = 401
        alone.monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        alone.monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
        err = alone("model", "show", "mlflow:vehicles@champion", code=4).err
        assert server.headers["Authorization"] == "Bearer t0ken"
        assert "t0ken" not in err
        alone.monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
        alone.monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
        alone("model", "show", "mlflow:vehicles@champion", code=4)
        assert server.headers["Authorization"] == "Basic " + base64.b64encode(b"me:secret").decode()


def test_a_server_that_does_not_answer(alone: Shell) -> None:
    alone.monkeypatch.setattr("detmon.mlflow.TIMEOUT", (1, 0.1))
    alone.monkeypatch.setattr("detmon.mlflow.AGAIN", 0)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        alone.monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert "it does not answer" in alone("model", "show", "mlflow:vehicles@champion", code=4).err
