"""The README and the guides are run: `shell` blocks as scripts, `console` blocks with their output compared.

Each page runs in a folder of its own, a copy of what `detmon demo` leaves (the README has its logs only), with the
demo's clock. In a `console` block `…` stands for any text.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

NOW = "2026-11-21T00:00:00Z"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(shell|console)\n(.*?)^```$", re.M | re.S)


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which `detmon demo` has run."""
    folder = tmp_path_factory.mktemp("docs")
    subprocess.run(
        [sys.executable, "-m", "detmon", "--now", NOW, "demo"], cwd=folder, check=True, capture_output=True, timeout=120
    )
    return folder


def shell(script: str, cwd: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("DETMON_", "SMTP_", "SLACK_"))
    }
    environment |= {
        "DETMON_NOW": NOW,
        "NO_COLOR": "1",
        "COLUMNS": "100",
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder / ".config"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page: Path, demo_folder: Path, tmp_path: Path) -> None:
    blocks = FENCE.findall(page.read_text("utf-8"))
    if not blocks:
        pytest.skip("no shell block on this page")
    folder = tmp_path / "detmon-demo"
    shutil.copytree(demo_folder / "detmon-demo", folder)
    if page.name == "README.md":  # its story begins with nothing but logs
        for name in ("detmon.duckdb", "detmon.toml", "notices.jsonl"):
            (folder / name).unlink()
    for kind, text in blocks:
        if kind == "shell":
            done = shell(text, folder, tmp_path)
            assert done.returncode == 0, f"{page.name}:\n{text}\n{done.stdout}"
        else:
            for command, expected in re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", text, re.M):
                done = shell(command, folder, tmp_path)
                assert matches(done.stdout, expected), f"{page.name}: $ {command}\n{done.stdout}"


def matches(output: str, expected: str) -> bool:
    """Whether the output is the expected one, blanks at line ends aside, `…` standing for anything."""
    tidy = "\n".join(line.rstrip() for line in output.strip().splitlines())
    wanted = "\n".join(line.rstrip() for line in expected.strip().splitlines())
    pattern = ".*?".join(re.escape(piece) for piece in wanted.split("…"))
    return re.fullmatch(pattern, tidy, re.S) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing
