"""Configuration: order, unknown keys, the template, masked secrets."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT, Shell

from detmon import config
from detmon.errors import ConfigError


def test_flag_beats_environment_beats_file(detmon: Shell) -> None:
    Path("detmon.toml").write_text('db = "file.duckdb"\n')
    assert detmon("config", "show", "--json").json["db"] == "file.duckdb"
    detmon.monkeypatch.setenv("DETMON_DB", "environment.duckdb")
    assert detmon("config", "show", "--json").json["db"] == "environment.duckdb"
    assert detmon("--db", "flag.duckdb", "config", "show", "--json").json["db"] == "flag.duckdb"


def test_project_file_beats_user_file(detmon: Shell) -> None:
    user = Path(".config/detmon/detmon.toml")
    user.parent.mkdir(parents=True)
    user.write_text('db = "/user.duckdb"\nlock_timeout = "5s"\n')
    Path("detmon.toml").write_text('db = "project.duckdb"\n')
    shown = detmon("config", "show", "--json").json
    assert (shown["db"], shown["lock_timeout"]) == ("project.duckdb", "5s")


def test_relative_paths_are_relative_to_the_file(detmon: Shell) -> None:
    Path("sub").mkdir()
    Path("sub/my.toml").write_text('db = "a.duckdb"\n')
    assert detmon("--config", "sub/my.toml", "config", "show", "--json").json["db"] == "sub/a.duckdb"


@pytest.mark.parametrize(
    ("text", "complaint", "hint"),
    [
        ('dbb = "x"', "unknown key 'dbb'", "did you mean 'db'?"),
        ("[notify.slack]\ntokn = 'env:X'", "unknown key 'tokn' in [notify.slack]", "did you mean 'token'?"),
        ("[metrics.truck]\nsqll = 'x'", "unknown key 'sqll' in [metrics.truck]", "did you mean 'sql'?"),
        ("db = ", "is not TOML", ""),
        ('lock_timeout = "soon"', "'soon' is not a duration", "write 30s"),
    ],
)
def test_a_wrong_file_is_refused(detmon: Shell, text: str, complaint: str, hint: str) -> None:
    Path("detmon.toml").write_text(text)
    failed = detmon("config", "check", code=2)
    assert complaint in failed.err
    assert hint in failed.err


def test_a_missing_file_that_was_named(detmon: Shell) -> None:
    assert "no configuration file at nowhere.toml" in detmon("--config", "nowhere.toml", "config", "check", code=2).err


def test_init_writes_a_file_that_check_accepts(detmon: Shell) -> None:
    detmon("init")
    assert "nothing wrong" in detmon("config", "check").err
    assert "is there already" in detmon("init", code=2).err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("db = 5", "db must be text"),
        ('notify.default = ["slak:#x"]', "did you mean 'slack'?"),
        ("notify.default = 5", "[notify] default: 5 is not text or a list"),
        ('notify.zone = "Mars"', "unknown time zone"),
        ('notify.overdue_after = "soon"', "not a duration"),
    ],
)
def test_check_finds_what_a_run_would_stumble_over(detmon: Shell, text: str, says: str) -> None:
    (detmon.folder / "detmon.toml").write_text(text)
    assert says in detmon("config", "check", code=2).err


def test_check_names_what_is_missing_here(detmon: Shell) -> None:
    (detmon.folder / "detmon.toml").write_text('notify.default = "slack:#ml-alerts"')
    failed = detmon("config", "check")
    assert "SLACK_BOT_TOKEN" in failed.err
    assert "nothing wrong" not in failed.err


def test_every_line_of_the_template_is_valid() -> None:
    text = (ROOT / "configs" / "detmon.toml").read_text("utf-8")
    settings = re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.M)
    data = tomllib.loads(settings)
    assert data["notify"]["email"]["port"] == 587
    assert not list(config.check_keys(data, Path("template.toml")))


def test_literal_secrets_are_masked() -> None:
    table = {"slack": {"token": "xoxb-1", "webhooks": {"#a": "https://x"}}, "email": {"password": "env:P", "host": "h"}}
    shown = config.masked(table)
    assert shown == {
        "slack": {"token": "***", "webhooks": {"#a": "***"}},
        "email": {"password": "env:P", "host": "h"},
    }


def test_a_table_that_is_no_table() -> None:
    with pytest.raises(ConfigError, match="must be a table"):
        config.Config(data={"notify": 3}).table("notify")
