"""`engine run` killed, beside itself, and from cron: real processes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import Shell
from test_engine import SEED, configure, image, ingest, items, mixed, run
from test_hygiene import modules_after

BUDGET = {"random_sample": {"rate": 1.0}, "budget": {"per_day": 20, "gap": "2m"}}


def prepare(detmon: Shell, n: int, **tables: Any) -> None:
    """A store with an engine that has not run."""
    ingest(detmon, mixed(n))
    configure(detmon, **tables)


def scans(folder: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(folder / "detmon.duckdb"), read_only=True) as con:
        assert con.execute("SELECT count(*) = count(DISTINCT item_id) FROM items").fetchall() == [(True,)]
        return con.execute("SELECT batch_id, scanned, flagged FROM engine_scans ORDER BY ALL").fetchall()


@pytest.mark.parametrize("where", ["engine.scanned", "engine.written"])
@pytest.mark.parametrize("tables", [SEED, BUDGET], ids=["seed", "budget"])
def test_a_killed_run_leaves_nothing_behind(detmon: Shell, where: str, tables: Any) -> None:
    prepare(detmon, 200, **tables)
    done = detmon.process("engine", "run", env={"DETMON_FAILPOINT": where})
    assert done.returncode == -signal.SIGKILL
    assert (scans(detmon.folder), items(detmon)) == ([], {})
    flagged = run(detmon)["flagged"]
    assert scans(detmon.folder) == [(1, 200, flagged)]
    assert len(items(detmon)) == flagged > 0


def test_runs_killed_at_any_moment(detmon: Shell) -> None:
    prepare(detmon, 3000, **SEED)
    chance = random.Random(7)
    for number in range(8):
        process = subprocess.Popen(
            detmon.command("engine", "run"), cwd=detmon.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(0.1, 0.7))  # the moment is what is tested
        process.kill()
        process.wait()
        ingest(detmon, [image(5000 + number)], f"{number}.jsonl")
    run(detmon)
    found = items(detmon)
    flagged = sum(flagged for _, _, flagged in scans(detmon.folder))
    assert sum(n for _, n, _ in scans(detmon.folder)) == 3008
    assert flagged == len(found)
    run(detmon, "--period", "2026-03-01/2026-03-09")
    assert items(detmon) == found


@pytest.mark.parametrize("tables", [SEED, BUDGET], ids=["seed", "budget"])
def test_runs_at_once_flag_everything_once(detmon: Shell, tables: Any) -> None:
    prepare(detmon, 1000, **tables)
    env = {**os.environ, "DETMON_NOW": "2026-03-09T00:00:00Z"}
    both = [
        subprocess.Popen(detmon.command("engine", "run", "--json"), cwd=detmon.folder, env=env, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    said = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0, 0]
    assert len(scans(detmon.folder)) == 1
    assert sorted(b'"scanned": 1000' in text for text in said) == [False, False, True]


def test_a_run_from_cron_without_news_is_cheap(detmon: Shell) -> None:
    prepare(detmon, 20, **SEED)
    run(detmon)
    loaded = modules_after("engine", "run", cwd=detmon.folder)
    assert "duckdb" in loaded
    assert not loaded & {"numpy", "pyarrow", "scipy", "requests", "rich"}
