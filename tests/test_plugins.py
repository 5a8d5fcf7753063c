"""Plugins: real distributions in a folder on the path; a broken one stops nothing but itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Shell
from outbox_help import NOON, item, later, lines, notice, queue

GOOD = """
from detmon.hookspecs import Notifier, Sent, hookimpl, message_json

class Paper(Notifier):
    scheme = "{scheme}"

    def send(self, target, message, ctx):
        with open(target.address, "a", encoding="utf-8") as file:
            file.write(message_json(message, ctx) + "\\n")
        return Sent()

@hookimpl
def detmon_register_notifiers(register):
    register("{scheme}", Paper)
"""
SLOW = """
import time
from dataclasses import replace
from detmon.hookspecs import Capabilities, Notifier, Sent, hookimpl

class Slow(Notifier):
    scheme = "slow"
    capabilities = Capabilities(timeout_s=0.5)

    def send(self, target, message, ctx):
        time.sleep(60)
        return Sent()

@hookimpl
def detmon_register_notifiers(register):
    register("slow", Slow)
"""
RAISES = "raise RuntimeError('cannot start')\n"
EXITS = "import sys\nsys.exit(3)\n"
MISSPELT = """
from detmon.hookspecs import hookimpl

@hookimpl
def detmon_register_notifier(register):
    register("never", object)
"""
WRONG_ARGUMENT = """
from detmon.hookspecs import hookimpl

@hookimpl
def detmon_register_notifiers(registrar):
    registrar("never", object)
"""
HALFWAY = """
from detmon.hookspecs import Notifier, hookimpl

@hookimpl
def detmon_register_notifiers(register):
    register("halfway", Notifier)
    raise KeyError("after the first scheme")
"""
FUTURE = """
from detmon.hookspecs import Notifier, hookimpl

@hookimpl
def detmon_register_notifiers(register):
    register("future", Notifier, api=2)
"""
BROKEN_SEND = """
from detmon.hookspecs import Notifier, hookimpl

class Broken(Notifier):
    scheme = "broken"

    def send(self, target, message, ctx):
        raise {error}

@hookimpl
def detmon_register_notifiers(register):
    register("broken", Broken)
"""


@dataclass
class Distributions:
    """Installs throw-away distributions into a folder on PYTHONPATH."""

    folder: Path

    def add(self, name: str, code: str) -> None:
        module = name.replace("-", "_")
        (self.folder / f"{module}.py").write_text(code)
        info = self.folder / f"{module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[detmon]\n{name} = {module}\n")


@pytest.fixture
def installed(detmon: Shell) -> Distributions:
    folder = detmon.folder / "site"
    folder.mkdir()
    detmon.monkeypatch.setenv("PYTHONPATH", str(folder))
    return Distributions(folder)


def listed(detmon: Shell) -> tuple[dict[str, dict[str, object]], str]:
    done = detmon.process("plugins", "--json")
    assert done.returncode == 0, done.stderr
    return {row["name"]: row for row in json.loads(done.stdout)}, done.stderr.decode()


def test_first_party_plugins_come_through_the_same_door(detmon: Shell) -> None:
    rows = detmon("plugins", "--json").json
    schemes = {row["name"]: row["schemes"] for row in rows}
    formats = {row["name"]: row["formats"] for row in rows}
    assert {"detmon", "coco", "flat", "mot"} <= set(formats["detmon-formats"])
    assert {row["name"]: row["trainers"] for row in rows}["detmon-trainers"] == ["command", "github"]
    assert schemes["detmon-console"] == ["stdout", "file"]
    assert schemes["detmon-email"] == ["email", "sendmail"]
    assert schemes["detmon-slack"] == ["slack"]
    assert schemes["detmon-webhook"] == ["webhook"]
    assert schemes["detmon-alertmanager"] == ["alertmanager"]
    assert schemes["detmon-pagerduty"] == ["pagerduty"]
    assert schemes["detmon-apprise"] == ["apprise"]
    assert {row["distribution"] for row in rows} == {"detmon"}


def test_broken_slow_and_misspelt_plugins_beside_two_good_ones(detmon: Shell, installed: Distributions) -> None:
    for name, code in {
        "a-raises": RAISES,
        "b-exits": EXITS,
        "c-misspelt": MISSPELT,
        "d-slow": SLOW,
        "e-good": GOOD.format(scheme="paper"),
        "f-broken": BROKEN_SEND.format(error="SystemExit(3)"),
        "g-good": GOOD.format(scheme="scroll"),
    }.items():
        installed.add(name, code)
    file = detmon.folder / "told.jsonl"
    targets = ["slow:x", "never:x", "broken:x", f"paper:{file}", f"scroll:{file}"]
    queue(detmon.folder, *(notice(target, item(alert=target)) for target in targets))
    done = detmon.process("--now", NOON, "notify", "send", "--json", timeout=30)
    delivery = json.loads(done.stdout)
    assert (done.returncode, delivery["sent"], delivery["queued"]) == (0, 2, 3), done.stderr
    assert sorted(line["alert"]["name"].partition(":")[0] for line in lines(file)) == ["paper", "scroll"]
    assert b"unknown notification scheme 'never'" in done.stderr
    rows = {row["target"]: row for row in detmon("notify", "list", "--json").json}
    assert (rows["slow:x"]["ambiguous"], rows["slow:x"]["last_error"]) == (True, "no answer within 0.5 s")
    assert (rows["broken:x"]["ambiguous"], rows["never:x"]["attempts"]) == (True, 0)
    late = detmon.process("--now", later(NOON, minutes=20), "notify", "send", env={"DETMON_LOAD_PLUGINS": "e-good"})
    assert late.returncode == 4  # what waits longer than 15 minutes is overdue


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (RAISES, "RuntimeError: cannot start"),
        (EXITS, "SystemExit: 3"),
        (WRONG_ARGUMENT, "PluginValidationError"),
        (HALFWAY, "KeyError: 'after the first scheme'"),
        (FUTURE, "wants plugin API 2; this detmon has 1"),
        ("import no_such_module\n", "ModuleNotFoundError"),
        ("def broken(:\n", "SyntaxError"),
    ],
)
def test_a_plugin_that_fails_is_listed_and_brings_nothing(
    detmon: Shell, installed: Distributions, code: str, error: str
) -> None:
    installed.add("bad", code)
    installed.add("good", GOOD.format(scheme="paper"))
    rows, notes = listed(detmon)
    assert error in str(rows["bad"]["error"])
    assert rows["bad"]["schemes"] == []
    assert rows["good"]["schemes"] == ["paper"]
    assert "plugin bad did not load" in notes


def test_a_misspelt_hook_is_named(detmon: Shell, installed: Distributions) -> None:
    installed.add("misspelt", MISSPELT)
    rows, notes = listed(detmon)
    assert rows["misspelt"]["error"] is None
    assert "plugin misspelt implements an unknown hook: detmon_register_notifier" in notes


def test_two_plugins_with_one_scheme(detmon: Shell, installed: Distributions) -> None:
    installed.add("one", GOOD.format(scheme="paper"))
    installed.add("two", GOOD.format(scheme="paper"))
    file = detmon.folder / "told.jsonl"
    refused = detmon.process("notify", "test", f"paper:{file}")
    assert refused.returncode == 2
    assert b"two plugins bring 'paper': one (one) and two (two)" in refused.stderr
    (detmon.folder / "detmon.toml").write_text('[plugins]\nprefer = { paper = "two" }\n')
    assert detmon.process("notify", "test", f"paper:{file}").returncode == 0


def test_plugins_are_left_out_by_name(detmon: Shell, installed: Distributions) -> None:
    installed.add("good", GOOD.format(scheme="paper"))
    everything = set(listed(detmon)[0])
    assert {"good", "detmon-slack", "detmon-email"} <= everything
    detmon.monkeypatch.setenv("DETMON_DISABLE_PLUGINS", "good, detmon-slack")
    assert set(listed(detmon)[0]) == everything - {"good", "detmon-slack"}
    detmon.monkeypatch.delenv("DETMON_DISABLE_PLUGINS")
    detmon.monkeypatch.setenv("DETMON_LOAD_PLUGINS", "good")
    assert set(listed(detmon)[0]) == {"good", "detmon-formats", "detmon-trainers"}
    detmon.monkeypatch.setenv("DETMON_LOAD_PLUGINS", "")
    assert set(listed(detmon)[0]) == {"detmon-formats", "detmon-trainers"}


def test_an_unknown_scheme_names_what_did_not_load(detmon: Shell, installed: Distributions) -> None:
    installed.add("bad", RAISES)
    refused = detmon.process("notify", "test", "paper:x")
    assert refused.returncode == 2
    assert b"not loaded: bad" in refused.stderr


def test_no_plugin_is_imported_while_nothing_waits(detmon: Shell) -> None:
    queue(detmon.folder)
    code = (
        "import sys; from detmon.cli.app import run; code = run(['notify', 'send']);"
        "print(code, sorted({'requests', 'smtplib', 'detmon_slack', 'detmon_email', 'detmon.plugins', 'rich', 'numpy'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=detmon.folder, env=os.environ, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "0 []\n", done.stderr
