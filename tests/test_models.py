"""The register of models, through the front door."""

from __future__ import annotations

import pytest
from conftest import Shell


def test_register_list_show(detmon: Shell) -> None:
    assert detmon("model", "register", "vehicles", "--version", "3", "--uri", "s3://m/3.pt").out == "vehicles@3\n"
    detmon("model", "register", "vehicles", "--version", "3")  # again: the same model
    rows = detmon("model", "list", "--json").json
    assert [row["id"] for row in rows] == ["vehicles@3"]
    shown = detmon("model", "show", "vehicles", "--json").json
    assert (shown["name"], shown["version"], shown["uri"]) == ("vehicles", "3", "s3://m/3.pt")


def test_a_name_of_two_models_is_ambiguous(detmon: Shell) -> None:
    detmon("model", "register", "vehicles", "--version", "3")
    detmon("model", "register", "vehicles", "--version", "4")
    failed = detmon("model", "show", "vehicles", code=2)
    assert "vehicles@3, vehicles@4" in failed.err


@pytest.mark.parametrize(("asked", "hint"), [("vehicle@3", "did you mean 'vehicles@3'?"), ("zzz", "")])
def test_an_unknown_model_names_the_nearest(detmon: Shell, asked: str, hint: str) -> None:
    detmon("model", "register", "vehicles", "--version", "3")
    assert hint in detmon("model", "show", asked, code=2).err


def test_no_store(detmon: Shell) -> None:
    assert "no store at" in detmon("model", "list", code=2).err
