"""The checks that hold for the whole tree: format, lint, types, arrows, cold start, the two doors."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

CHECKS = {
    "lint": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "types": ["mypy"],
    "arrows": ["importlinter.cli"],
}


@pytest.mark.parametrize("name", CHECKS)
def test_check(name: str) -> None:
    command = [sys.executable, "-m", *CHECKS[name]]
    if name == "arrows":
        command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_public_names_are_there() -> None:
    import detmon

    assert sorted(detmon.__all__) == detmon.__all__
    for name in detmon.__all__:
        assert getattr(detmon, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = detmon.nothing  # type: ignore[attr-defined]


def modules_after(*args: str, cwd: Path) -> set[str]:
    """The modules that a process of `detmon ARGS` has loaded when it ends."""
    code = (
        "import sys, json\n"
        "from detmon.cli.app import run\n"
        f"code = run({list(args)!r})\n"
        "print(json.dumps(sorted(m.partition('.')[0] for m in sys.modules)), file=sys.stderr)\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_help_loads_no_engine(tmp_path: Path) -> None:
    loaded = modules_after("--help", cwd=tmp_path)
    assert not loaded & {"duckdb", "pyarrow", "numpy", "scipy", "requests", "rich", "pluggy"}


def commands() -> list[tuple[str, ...]]:
    """Every verb of the command line, as words."""
    import typer

    from detmon.cli.app import app

    found = []

    def walk(command: object, words: tuple[str, ...]) -> None:
        if hasattr(command, "list_commands"):
            ctx = typer.Context(command)  # type: ignore[arg-type]
            for name in command.list_commands(ctx):
                walk(command.get_command(ctx, name), (*words, name))  # type: ignore[attr-defined]
        else:
            found.append(words)

    walk(typer.main.get_command(app), ())
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_verb_shows_an_example(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    from detmon.cli.app import run

    assert run([*words, "--help"]) == 0
    assert re.search(r"Example: .*detmon\b", capsys.readouterr().out, re.S)


def test_the_two_doors_are_equal() -> None:
    """Every verb calls one method of the client, and there is no method that no verb calls."""
    from detmon.client import Client

    called = set()
    for file in (ROOT / "detmon" / "cli").glob("*.py"):
        called |= set(re.findall(r"\bclient(?:\(ctx\))?\.(\w+)\(", file.read_text("utf-8")))
    methods = {name for name, value in vars(Client).items() if callable(value) and not name.startswith("_")}
    assert methods - called == {"now"}
    assert called <= methods


def test_the_set_up_commands_are_those_of_ci() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    commands = re.findall(r"^(pip install .*)$", readme, re.M)[:2]
    assert commands[0] == "pip install . && detmon demo"
    assert "pytest" in commands[1]
    assert all(command in script for command in commands)


def test_the_program_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    from detmon import __version__
    from detmon.cli.app import run

    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"detmon {__version__}\n"
