"""`detmon train`: from a version to a registered model, with real processes; what happens to a job is what is said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Result, Shell
from github_server import REPOSITORY, TOKEN, WORKFLOW, serving
from reviewed_world import CAR, create, line, reviewed, said
from test_plugins import Distributions
from test_supervisor import gone, until

from detmon import Client
from detmon.store import Store
from detmon.training import run, supervisor

SCRIPT = Path(__file__).parent / "tiny_trainer.py"

COLUMNS = ("id", "status", "reason", "handle", "exit_code", "model_id")


class Works:
    """A store with a version `v1` of the dataset `review`, and a trainer."""

    def __init__(self, detmon: Shell) -> None:
        self.detmon = detmon
        self.folder = detmon.folder
        self.version = _stored(detmon)
        self.configure()

    def configure(self, *arguments: str, **settings: Any) -> None:
        """Say what is run."""
        command = [sys.executable, str(SCRIPT), "--data", "{dataset}/data.yaml", "--out", "{output}", *arguments]
        table = {"command": command, "images": "none", "grace": "500ms", **settings}
        lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        (self.folder / "detmon.toml").write_text("\n".join(["[training]", *lines]) + "\n")

    def create(self, *args: object, name: str = "job", code: int = 0) -> Result:
        return self.detmon(
            "train", "create", name, "--dataset", "review", "--version", "v1", "--json", *args, code=code
        )

    def show(self, job: str) -> dict[str, Any]:
        found: dict[str, Any] = self.detmon("train", "show", job, "--json").json
        return found

    def ended(self, job: str) -> dict[str, Any]:
        until(lambda: self.show(job)["status"] not in ("queued", "running"))
        return self.show(job)

    def rows(self) -> list[dict[str, Any]]:
        """What is stored, without asking the trainer."""
        with Store(self.folder / "detmon.duckdb").reading() as con:
            found = con.execute("SELECT id, status, reason, handle, exit_code, model_id FROM training_jobs").fetchall()
        return [
            dict(zip(("id", "status", "reason", "handle", "exit_code", "model_id"), row, strict=True)) for row in found
        ]

    def work(self, job: str) -> Path:
        return self.folder / "runs" / f"{job}.job"

    def pids(self, job: str) -> dict[str, int]:
        until(lambda: "trainer" in json.loads((self.work(job) / supervisor.PROCESSES).read_bytes().strip() or b"{}"))
        told = json.loads((self.work(job) / supervisor.PROCESSES).read_bytes())
        return {name: json.loads(identity)[1] for name, identity in told.items()}

    def start(self, *args: object, name: str = "job", **env: str) -> subprocess.Popen[bytes]:
        """`train create` as a process of its own."""
        command = self.detmon.command("train", "create", name, "--dataset", "review", "--version", "v1", *args)
        return subprocess.Popen(
            command, cwd=self.folder, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )


STORED: dict[str, Any] = {}
"""The store of all these tests, made once."""


def _stored(detmon: Shell) -> dict[str, Any]:
    """Puts the store there; its version."""
    file = detmon.folder / "detmon.duckdb"
    if not STORED:
        reviewed(
            detmon,
            [line(name, ("car", 0.9, CAR), source=f"cam{number}") for number, name in enumerate("abcdefgh")],
            [said(name, "correct", 0) for name in "abcdefgh"],
        )
        STORED.update(version=create(detmon, "v1"), content=file.read_bytes())
    file.write_bytes(STORED["content"])
    found: dict[str, Any] = STORED["version"]
    return found


@pytest.fixture
def works(detmon: Shell) -> Iterator[Works]:
    made = Works(detmon)
    yield made
    for place in made.folder.glob(f"*/tj_*.job/{supervisor.PROCESSES}"):
        for identity in json.loads(place.read_bytes().strip() or b"{}").values():
            pid = json.loads(identity)[1]
            until(lambda pid=pid: gone(pid) or not _end(pid))  # type: ignore[misc]


def _end(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return False
    return True


def test_from_a_version_to_a_registered_model(works: Works) -> None:
    works.detmon("model", "register", "vehicles", "--version", "3", "--uri", "s3://models/3.pt", "--zone", "Asia/Tokyo")
    works.configure("--base", "{base_model}")
    job = works.create("--base-model", "vehicles@3", "--wait").json
    assert (job["status"], job["exit_code"], job["reason"]) == ("succeeded", 0, None)
    assert job["model_id"] == f"vehicles@{job['id']}"
    assert job["command"][-1] == "s3://models/3.pt"
    assert job["started_at"] <= job["finished_at"]
    assert Path(job["log"]).read_text().endswith("done\n")
    model = works.detmon("model", "show", job["model_id"], "--json").json
    assert (model["uri"], model["parent"], model["job_id"]) == (job["output"], "vehicles@3", job["id"])
    assert model["zone"] == "Asia/Tokyo"
    assert (Path(model["uri"]) / "best.pt").read_bytes() == b"weights"
    version = works.detmon("version", "show", "v1", "--json").json
    assert (version["jobs"], version["models"]) == ([job["id"]], [job["model_id"]])
    shown = works.show("job")
    assert [one["name"] for one in shown["versions"]] == ["v1"]
    assert shown["versions"][0]["digest"] == version["digest"]
    assert works.detmon("train", "list", "--json").json[0]["id"] == job["id"]
    assert "vehicles@3" in works.detmon("model", "list").out


def test_the_model_is_what_the_training_says(works: Works) -> None:
    works.configure("--model", '{"name": "trucks", "version": "7", "uri": "best.pt"}')
    job = works.create("--wait").json
    assert job["model_id"] == "trucks@7"
    model = works.detmon("model", "show", "trucks", "--json").json
    assert model["uri"] == f"{job['output']}/best.pt"
    again = works.create("--wait", code=4)  # each output has a path of its own
    assert "registered with another uri" in again.json["reason"]
    assert again.json["model_id"] is None
    works.configure("--model", '{"name": "vans", "version": "1", "uri": "s3://m/vans.pt"}')
    first, second = works.create("--wait").json, works.create("--wait", code=4).json
    assert first["model_id"] == "vans@1"
    assert second["reason"].endswith(f"vans@1 was made by {first['id']}")


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ('{"name": "\\ud800"}', "no text on one line"),
        ('{"name": "a", "version": "1\\n2"}', "no text on one line"),
        (json.dumps({"uri": "x" * 5000}), "5,000 letters"),
        ("[" * 100_000, "is no JSON"),
        ('{"name": "vehicles", "version": "3"}', "vehicles@3 is the model that it began with"),
    ],
)
def test_what_a_training_says_and_no_model_can_be(works: Works, said: str, says: str) -> None:
    works.detmon("model", "register", "vehicles", "--version", "3")
    before = works.detmon("model", "list", "--json").json
    (works.detmon.folder / "said.json").write_text(said)
    works.configure(command=["cp", "said.json", "{output}/model.json"])
    job = works.create("--base-model", "vehicles@3", "--wait", code=4).json
    assert (job["status"], job["model_id"]) == ("failed", None)
    assert says in job["reason"]
    assert works.detmon("model", "list", "--json").json == before


def test_without_a_base_model_the_job_names_the_model(works: Works) -> None:
    job = works.create("--wait", name="nightly").json
    assert job["model_id"] == f"nightly@{job['id']}"


def test_it_goes_on_when_the_command_is_over(works: Works) -> None:
    works.configure("--seconds", "0.5")
    job = works.create().json
    assert (job["status"], job["finished_at"]) == ("running", None)
    until(lambda: works.rows()[0]["status"] == "succeeded")  # nobody asked: the supervisor has told the store
    assert works.rows()[0]["model_id"] == f"job@{job['id']}"


def test_lineage_reaches_through_parent_versions(works: Works) -> None:
    (works.folder / "more.jsonl").write_text(json.dumps(line("z", ("car", 0.9, CAR))) + "\n")
    works.detmon("ingest", "more.jsonl")
    works.detmon("item", "add", "--dataset", "review", "z")
    create(works.detmon, "v2", "--parent", "v1")
    works.detmon("train", "create", "j", "--dataset", "review", "--version", "v2", "--wait")
    assert [one["name"] for one in works.show("j")["versions"]] == ["v2", "v1"]
    assert "v2 (dv_" in works.detmon("train", "show", "j").out


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [(["--exit", "3"], 3, "exit code 3"), (["--nothing"], 0, "nothing is in"), (["--model", "{"], 0, "is no JSON")],
)
def test_a_training_that_fails(works: Works, arguments: list[str], exit_code: int, says: str) -> None:
    works.configure(*arguments)
    done = works.create("--wait", code=4)
    assert (done.json["status"], done.json["exit_code"], done.json["model_id"]) == ("failed", exit_code, None)
    assert says in done.json["reason"]
    assert says in done.err
    assert works.detmon("model", "list", "--json").json[0]["id"] == "m"
    assert len(works.detmon("model", "list", "--json").json) == 1


def test_a_failure_without_wait_shows_later(works: Works) -> None:
    works.configure("--exit", "3", "--seconds", "0.3")
    works.create()
    assert works.ended("job")["reason"] == "exit code 3"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--dataset", "reviw", "--version", "v1"], "unknown dataset 'reviw'"),
        (["--dataset", "review", "--version", "v9"], "unknown version 'v9'"),
        (["--dataset", "review", "--version", "v1", "--base-model", "m@9"], "unknown model 'm@9'"),
        (["--dataset", "other", "--version", "v1"], "version 'v1' is one of review"),
        (["--dataset", "other", "--version", "empty"], "has no items"),
    ],
)
def test_what_is_not_there_starts_nothing(works: Works, args: list[str], says: str) -> None:
    works.detmon("dataset", "create", "other")
    create(works.detmon, "empty", dataset="other")
    failed = works.detmon("train", "create", "job", *args, code=2)
    assert says in failed.err
    assert not works.rows()
    assert not (works.folder / "runs").exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"trainer": "comand"}, "did you mean 'command'?"),
        ({"command": ["no-such-program"]}, "no such command: no-such-program"),
        ({"command": ["python", "{outptu}"]}, "unknown placeholder of [training] command '{outptu}'"),
        ({"command": "python train.py"}, "is no list of texts"),
        ({"command": ["python", "{base_model}"]}, "--base-model MODEL"),
        ({"format": "voc"}, "unknown format in [training] 'voc'"),
        ({"timeout": "soon"}, "[training] timeout: 'soon' is not a duration"),
        ({"timeout": "0s"}, "is no time"),
        ({"trainr": "command"}, "unknown key 'trainr'"),
        ({"folder": 1}, "write a text"),
    ],
)
def test_settings_that_cannot_be_start_nothing(works: Works, settings: dict[str, Any], says: str) -> None:
    works.configure(**settings)
    failed = works.create(code=2)
    assert says in failed.err
    assert not works.rows()
    assert not (works.folder / "runs").exists()


def test_without_settings_it_says_what_is_missing(works: Works) -> None:
    (works.folder / "detmon.toml").unlink()
    assert "[training] has no command" in works.create(code=2).err


def test_a_folder_that_cannot_be_made(works: Works) -> None:
    (works.folder / "runs").write_text("in the way")
    assert "cannot make the folder" in works.create(code=4).err
    assert not works.rows()


def test_an_export_that_fails_is_a_job_that_failed(works: Works) -> None:
    works.configure(images="copy")  # there are no pictures
    failed = works.create(code=4)
    assert "can be read" in failed.err
    (row,) = works.rows()
    assert (row["status"], "can be read" in row["reason"]) == ("failed", True)
    assert not (works.work(row["id"]) / "dataset").exists()
    assert not (works.work(row["id"]) / supervisor.ORDER).exists()


def test_nothing_is_trained_on_validation_images_only(works: Works) -> None:
    asked = "SELECT image_id FROM version_items WHERE split = 'val'"
    pictures = works.folder / "pictures"
    pictures.mkdir()
    for row in works.detmon("sql", asked, "--format", "json").json:
        header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x02\0\0\0"
        (pictures / row["image_id"]).write_bytes(header)
    works.configure(images="copy", image_root="pictures")
    failed = works.create(code=4)
    assert "7 images are left out" in failed.err
    assert "there is nothing to train on" in failed.err
    assert works.show("job")["status"] == "failed"


def test_cancel(works: Works) -> None:
    works.configure("--hang")
    job = works.create().json
    pids = works.pids(job["id"])
    found = works.detmon("train", "cancel", "job", "--json").json
    assert (found["status"], found["exit_code"], found["model_id"]) == ("cancelled", 143, None)
    until(lambda: all(map(gone, pids.values())))
    again = works.detmon("train", "cancel", "job", code=2)
    assert f"{job['id']} (job) is over: cancelled" in again.err


@pytest.mark.parametrize("victims", [["supervisor"], ["trainer"], ["supervisor", "trainer"]])
def test_whoever_is_killed_the_job_has_failed(works: Works, victims: list[str]) -> None:
    works.configure("--hang")
    job = works.create().json
    pids = works.pids(job["id"])
    for victim in victims:
        os.kill(pids[victim], signal.SIGKILL)
    found = works.ended(job["id"])
    assert found["status"] == "failed"
    assert ("ended by signal 9" if victims == ["trainer"] else "supervisor was killed") in found["reason"]
    until(lambda: all(map(gone, pids.values())))


def test_a_timeout(works: Works) -> None:
    works.configure("--stubborn", timeout="300ms", grace="200ms")
    found = works.create("--wait", code=4).json
    assert (found["status"], found["exit_code"]) == ("failed", 137)
    assert "timeout" in found["reason"]


@pytest.mark.parametrize(
    ("place", "status"),
    [("training-made", "failed"), ("training-exported", "failed"), ("training-started", "succeeded")],
)
def test_its_maker_is_killed(works: Works, place: str, status: str) -> None:
    """What had begun goes on and is found again, what had not is broken off; neither is done twice."""
    works.configure("--seconds", "0.2")
    with works.start(DETMON_FAILPOINT=place) as process:
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    (row,) = works.rows()
    assert (row["status"], row["handle"]) == ("queued", None)
    found = works.ended(row["id"])
    assert found["status"] == status
    assert found["reason"] == (None if status == "succeeded" else run.BROKEN_OFF)


def test_an_interrupt_while_it_is_made(works: Works) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    works.detmon.monkeypatch.setattr(Client, "export_version", interrupted)
    works.create(code=130)
    found = works.show("job")
    assert (found["status"], found["reason"]) == ("cancelled", run.BROKEN_OFF)
    assert not (works.work(found["id"]) / supervisor.ORDER).exists()


def test_a_kill_in_the_middle_of_the_export_trains_on_nothing(works: Works) -> None:
    with works.start(DETMON_FAILPOINT="export.written") as process:
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    (row,) = works.rows()
    assert works.ended(row["id"])["status"] == "failed"
    assert not (works.work(row["id"]) / "dataset").exists()
    assert not (works.work(row["id"]) / supervisor.ORDER).exists()


def test_cancelled_while_it_is_made(works: Works) -> None:
    """It never begins, or is ended at once."""
    fifo = works.folder / "data"
    works.configure("--hang")
    with works.start(DETMON_FAILPOINT="") as process:
        until(lambda: works.rows())
        works.detmon("train", "cancel", "job")
        process.communicate()
    assert not fifo.exists()
    found = works.show("job")
    assert found["status"] == "cancelled"
    if (works.work(found["id"]) / supervisor.PROCESSES).exists():
        until(lambda: all(map(gone, works.pids(found["id"]).values())))


def test_an_interrupt_while_waiting_leaves_the_training_alone(works: Works) -> None:
    works.configure("--seconds", "1.5")
    with works.start("--wait") as process:
        assert process.stderr is not None
        assert b" is running; its log: /" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130, err
    assert b"goes on: detmon train cancel tj_" in err
    assert works.ended("job")["status"] == "succeeded"


def test_two_at_once_and_the_same_name_twice(works: Works) -> None:
    works.configure("--seconds", "0.3")
    processes = [works.start(name="twin") for _ in range(2)]
    for process in processes:
        with process:
            process.communicate()
            assert process.returncode == 0
    ids = {row["id"] for row in works.rows()}
    assert len(ids) == 2
    for id in ids:
        assert works.ended(id)["model_id"] == f"twin@{id}"
    both = works.detmon("train", "show", "twin", code=2)
    assert "'twin' fits 2 jobs" in both.err
    assert all(id in both.err for id in ids)


def test_the_end_is_kept_while_the_store_is_locked(works: Works) -> None:
    """First the folder, then the store: what is over is known, whoever holds the store."""
    works.configure("--seconds", "0.3")
    job = works.create().json
    with Store(works.folder / "detmon.duckdb").writing():
        until(lambda: (works.work(job["id"]) / supervisor.OUTCOME).read_bytes().strip())
        time.sleep(0.3)
    until(lambda: works.rows()[0]["status"] == "succeeded")


def test_many_look_at_once_and_one_model_is_made(works: Works) -> None:
    works.configure("--seconds", "0.3")
    job = works.create().json
    command = works.detmon.command("train", "show", job["id"], "--json")
    looks = [subprocess.Popen(command, cwd=works.folder, stdout=subprocess.PIPE) for _ in range(6)]
    told = [json.loads(look.communicate()[0]) for look in looks]
    assert {look.returncode for look in looks} == {0}
    assert {one["model_id"] for one in told} <= {None, f"job@{job['id']}"}
    assert works.ended("job")["model_id"] == f"job@{job['id']}"
    assert len(works.detmon("model", "list", "--json").json) == 2


def test_what_the_trainer_sees(works: Works) -> None:
    """No secret of detmon's own; everything else, and the folder of the configuration."""
    for name in ("SLACK_BOT_TOKEN", "SMTP_PASSWORD_FILE", "GITHUB_TOKEN", "APPRISE_CHAT", "OPS_TOKEN"):
        works.detmon.monkeypatch.setenv(name, "s3cret-s3cret")
    works.detmon.monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    works.detmon.monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the data lies there")
    with (works.folder / "detmon.toml").open("a") as file:
        file.write('[notify.webhook.ops]\nurl = "https://x.example"\nauthorization = "env:OPS_TOKEN"\n')
    works.create("--wait")
    log = works.detmon("train", "logs", "job").out
    assert "s3cret" not in log
    said = {one.partition(" ")[0]: one.partition(" ")[2] for one in log.splitlines()}
    environment = json.loads(said["environment"])
    assert environment["CUDA_VISIBLE_DEVICES"] == "1"
    assert environment["AWS_SECRET_ACCESS_KEY"] == "the data lies there"
    assert said["folder"] == str(works.folder)


def test_paths_are_those_of_the_configuration(works: Works) -> None:
    elsewhere = works.folder / "conf dir"
    elsewhere.mkdir()
    (works.folder / "detmon.toml").rename(elsewhere / "detmon.toml")
    job = works.detmon(
        "--config",
        "conf dir/detmon.toml",
        "train",
        "create",
        "a b",
        "--dataset",
        "review",
        "--version",
        "v1",
        "--wait",
        "--json",
    ).json
    assert job["output"] == str(elsewhere / "runs" / job["id"])
    assert f"folder {elsewhere}\n" in works.detmon("train", "logs", "a b").out


def test_logs(works: Works) -> None:
    works.configure(
        command=[
            sys.executable,
            "-c",
            "import sys; print('a\\n\\x1b[31mred\\x1b[0m'); print('1 %\\r50 %\\r100 %'); sys.exit(1)",
        ]
    )
    works.create("--wait", code=4)
    assert works.detmon("train", "logs", "job").out == "a\nred\n100 %\n"
    assert works.detmon("train", "logs", "job", "--tail", "1").out == "100 %\n"
    shown = works.detmon("train", "logs", "job", "--json").json
    assert (shown["status"], shown["text"].count("\r")) == ("failed", 2)


def test_names_that_are_none(works: Works) -> None:
    for name in ("", " ", "a\nb", "tj_0123456789ab"):
        assert "needs a name" in works.create(name=name, code=2).err
    assert "no job yet" in works.detmon("train", "show", "job", code=2).err
    assert "no training jobs yet" in works.detmon("train", "list").err
    works.create("--wait")
    assert "did you mean 'job'?" in works.detmon("train", "show", "jbo", code=2).err


BROKEN = """
from detmon.hookspecs import Trainer, hookimpl

class Broken(Trainer):
    def start(self, task):
        return task.id

    def poll(self, handle):
        {does}

@hookimpl
def detmon_register_trainers(register):
    register("broken", Broken)
"""


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("raise ValueError('oops')", "the trainer 'broken' failed: ValueError: oops"),
        ("return 'fine', 0, None", "the trainer 'broken' says 'fine', which is no status"),
        ("return 7", "the trainer 'broken' failed: TypeError"),
    ],
)
def test_a_broken_trainer_stops_no_other_job(
    works: Works, tmp_path_factory: pytest.TempPathFactory, does: str, says: str
) -> None:
    site = Distributions(tmp_path_factory.mktemp("site"))
    site.add("detmon-broken", BROKEN.format(does=does))
    works.detmon.monkeypatch.setenv("PYTHONPATH", str(site.folder))
    fine = works.create("--wait", name="fine").json
    works.configure(trainer="broken")
    with works.start(name="odd") as process:
        _, err = process.communicate()
        assert (process.returncode, says in err.decode()) == (0, True)
    listed = works.detmon.process("train", "list", "--json")
    assert [(one["name"], one["status"]) for one in json.loads(listed.stdout)] == [
        ("odd", "running"),
        ("fine", "succeeded"),
    ]
    assert says in listed.stderr.decode()
    assert fine["model_id"]


def test_a_trainer_that_is_gone_is_said(works: Works) -> None:
    works.configure("--hang")
    job = works.create().json
    with Store(works.folder / "detmon.duckdb").writing() as con:
        con.execute("UPDATE training_jobs SET trainer = 'of-a-plugin'")
    listed = works.detmon("train", "list", "--json")
    assert listed.json[0]["status"] == "running"
    assert "unknown trainer 'of-a-plugin'" in listed.err
    assert "unknown trainer" in works.detmon("train", "cancel", "job", code=2).err
    found = works.detmon("train", "cancel", "job", "--force", "--json").json
    assert (found["status"], found["id"]) == ("cancelled", job["id"])
    assert found["reason"] == "given up: unknown trainer 'of-a-plugin'"


def findings(works: Works) -> list[str]:
    """What `doctor` says of training jobs."""
    found = works.detmon("doctor", "--json").json["findings"]
    return [one["message"] for one in found if one["code"] == "training_stuck"]


def test_doctor_and_status_know_of_what_is_open(works: Works) -> None:
    works.configure("--hang")
    job = works.create().json
    assert works.detmon("status", "--json").json["training"] == {"queued": 0, "running": 1}
    assert not findings(works)
    (late,) = [
        one["message"]
        for one in works.detmon("--now", "2099-01-01T00:00:00Z", "doctor", "--json").json["findings"]
        if one["code"] == "training_stuck"
    ]
    assert "longer than [training] timeout" in late
    file = works.folder / "detmon.duckdb"
    before = file.read_bytes()
    for pid in works.pids(job["id"]).values():
        os.kill(pid, signal.SIGKILL)
    until(lambda: findings(works))
    assert findings(works) == [f"training job {job['id']} (job): it is over (failed), and the store does not know"]
    assert file.read_bytes() == before  # it only looks
    works.detmon("train", "list")
    assert not findings(works)
    assert works.detmon("status", "--json").json["training"] == {"queued": 0, "running": 0}
    with works.start(DETMON_FAILPOINT="training-made") as process:
        process.communicate()
    assert run.BROKEN_OFF in findings(works)[0]


def test_github(works: Works) -> None:
    """The same verbs, with a workflow behind them."""
    works.detmon.monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    works.configure(trainer="github", repository=REPOSITORY, workflow=WORKFLOW, address="s3://data/{digest}")
    with serving() as server:
        works.detmon.monkeypatch.setenv("GITHUB_API_URL", server.url)
        job = works.create().json
        assert (job["status"], job["command"][0]) == ("queued", f"{REPOSITORY}/{WORKFLOW}@main")
        assert server.inputs[1000]["dataset"] == f"s3://data/{works.version['digest']}"
        assert not (works.work(job["id"]) / "dataset").exists()
        assert "has the log when the run is over" in works.detmon("train", "logs", "job", code=4).err
        server.finish(1000, model='{"name": "vehicles", "version": "4", "uri": "s3://m/4.pt"}')
        found = works.show("job")
        assert (found["status"], found["model_id"], found["log"]) == (
            "succeeded", "vehicles@4", server.runs[1000]["html_url"],
        )  # fmt: skip
        assert works.detmon("train", "logs", "job").out == "trained\n"
        works.create(name="second")
        assert works.detmon("train", "cancel", "second", "--json").json["status"] == "cancelled"
        refused = works.detmon.monkeypatch
        refused.setenv("GITHUB_TOKEN", "wrong")
        assert "refuses the token" in works.create(name="third", code=4).err
        assert works.show("third")["status"] == "failed"
    assert TOKEN not in json.dumps(works.rows())
