"""The pipelines in `configs/`: valid, and what they run does run, in this order."""

from __future__ import annotations

import ast
import json
import os
import random
import re
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from conftest import ROOT, Shell
from test_story import GATES, record, review, settings

WORKFLOW = ROOT / "configs" / "github-workflow.yml"
AIRFLOW = ROOT / "configs" / "airflow_dag.py"
RUN = "run 2026-11-20"


def lines_of(path: Path) -> list[str]:
    """The commands of the workflow, in order; expressions are those of one run."""
    found = re.findall(r"^\s+(?:- )?run: (.*?)(?: # .*)?$", path.read_text("utf-8"), re.M)
    assert all("${{" not in line.replace("${{ github.run_id }}", "") for line in found)
    return [line.replace("${{ github.run_id }}", "2026-11-20") for line in found if not line.startswith("pip ")]


def commands_of(path: Path) -> list[str]:
    """The same of the DAG: its texts are put together as Python would."""
    tree = ast.parse(path.read_text("utf-8"))
    said = [node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)]
    known = {ast.unparse(node.targets[0]): ast.literal_eval(node.value) for node in said}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "bash_command":
            text = eval(compile(ast.Expression(node.value), str(path), "eval"), {}, known)
            found.append((node.value.lineno, text.replace("{{ ds }}", "2026-11-20")))
    return [text for _, text in sorted(found)]


def test_the_workflow_is_one() -> None:
    schema = ["--builtin-schema", "vendor.github-workflows"]
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *schema, str(WORKFLOW)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.fixture
def project(detmon: Shell) -> Path:
    """A project whose reviews are done, with a script that runs the new model on the images of the newest version."""
    chance, start = random.Random(5), datetime(2026, 11, 1)
    lines = [record("vehicles@3", start + timedelta(hours=3 * k), f"cam-{k % 3}", 0.7, chance) for k in range(150)]
    (detmon.folder / "logs").mkdir()
    (detmon.folder / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    detmon("ingest", "log.jsonl")
    detmon("export", "predictions", "--out", "logs/old")
    day = next((detmon.folder / "logs" / "old").rglob("*.parquet"))
    day.rename(detmon.folder / "logs" / "new.parquet")
    gates = GATES.format(model="vehicles@4", base="vehicles@3", version=RUN, log="candidate.jsonl")
    settings(detmon.folder, "vehicles@4", gates)
    (detmon.folder / "predict.py").write_text(
        "import json, sys\nwith open(sys.argv[2], 'w') as out:\n    for line in open('log.jsonl'):\n"
        "        out.write(json.dumps({**json.loads(line), 'model_id': 'vehicles@4'}) + '\\n')\n"
    )
    (detmon.folder / "engine.toml").write_text("random_sample = { rate = 0.9 }\n")
    detmon("dataset", "create", "review")
    detmon("engine", "configure", "--model", "vehicles@3", "--dataset", "review", "--file", "engine.toml")
    detmon("engine", "run")
    detmon("review", "export", "--dataset", "review", "--format", "csv", "--out", "sheet.csv")
    review(detmon.folder / "sheet.csv", 0.3)
    detmon("review", "import", "sheet.csv")
    return detmon.folder


def run(project: Path, line: str) -> int:
    """One step, as a runner would run it; its output is shown by a test that fails."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment |= {name: str(project / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    done = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", line], cwd=project, env=environment, timeout=240)
    return done.returncode


@pytest.mark.parametrize("commands", [lines_of(WORKFLOW), commands_of(AIRFLOW)], ids=["github", "airflow"])
def test_the_steps_run_in_order(detmon: Shell, project: Path, commands: list[str]) -> None:
    assert [run(project, line) for line in commands] == [0] * len(commands)
    assert detmon("model", "show", "champion", "--json").json["id"] == "vehicles@4"
    if any("github" in line for line in commands):
        assert (project / "GITHUB_OUTPUT").read_text() == "decision=pass\n" * 2


def test_a_dag_skips_what_cannot_be_decided(detmon: Shell) -> None:
    detmon("model", "register", "m")
    (detmon.folder / "detmon.toml").write_text(
        '[gate.retrain]\nmodel = "m"\nchecks = [{ check = "drift", expect = true }]\n'
        '[gate.promote]\nmodel = "m"\nchecks = [{ check = "alerts", operator = "gt", threshold = 0 }]\n'
    )
    retrain, promote = (line for line in commands_of(AIRFLOW) if "gate" in line)
    assert (run(detmon.folder, retrain), run(detmon.folder, promote)) == (99, 1)
    (detmon.folder / "detmon.toml").write_text("[gate]\n")
    assert run(detmon.folder, retrain) == 2
