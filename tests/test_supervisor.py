"""The trainer `command` and its supervisor, with real processes: whatever dies, what is said of it is true."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from detmon import processes
from detmon.errors import ConfigError, OperationError, UnknownName, UsageError
from detmon.hookspecs import Poll, TrainerConfig, TrainingTask
from detmon.training import supervisor
from detmon.training.command import Command, fill

SCRIPT = Path(__file__).parent / "tiny_trainer.py"
LAUNCH = """
import sys
from datetime import timedelta
from pathlib import Path
from detmon.hookspecs import TrainerConfig, TrainingTask
from detmon.training.command import Command
folder = Path(sys.argv[1])
task = TrainingTask("tj_1", "n", folder / "d", folder / "out", folder / "job", "dv_1", "", None, timedelta(hours=1))
print(Command(TrainerConfig({"command": sys.argv[2:], "grace": "1s"}, folder, {})).start(task), flush=True)
"""


def until(holds: Callable[[], object], patience: float = 30.0) -> None:
    give_up = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < give_up, "it did not come about"
        time.sleep(0.02)


@dataclass
class Bench:
    """A folder in which trainings are started."""

    folder: Path
    grace: str = "1s"
    timeout: timedelta = timedelta(hours=1)
    started: list[str] = field(default_factory=list)

    def trainer(self, *arguments: str, command: list[str] | None = None) -> Command:
        argv = command or [sys.executable, str(SCRIPT), "--out", "{output}", *arguments]
        return Command(TrainerConfig({"command": argv, "grace": self.grace}, self.folder, dict(os.environ)))

    def task(self) -> TrainingTask:
        number = len(self.started)
        work, output = self.folder / f"{number}.job", self.folder / str(number)
        work.mkdir()
        output.mkdir()
        return TrainingTask(f"tj_{number}", "n", work / "dataset", output, work, "dv_1", "", None, self.timeout)

    def start(self, *arguments: str, command: list[str] | None = None) -> str:
        handle = self.trainer(*arguments, command=command).start(self.task())
        self.started.append(handle)
        return handle

    def poll(self, handle: str) -> Poll:
        return self.trainer().poll(handle)

    def log(self, handle: str) -> str:
        return self.trainer().log(handle)

    def ended(self, handle: str) -> Poll:
        until(lambda: self.poll(handle).status != "running")
        return self.poll(handle)

    def said(self, handle: str, word: str) -> str:
        """What the trainer printed behind a word, as soon as it has."""
        until(lambda: f"{word} " in self.log(handle))
        return next(line.partition(" ")[2] for line in self.log(handle).splitlines() if line.startswith(f"{word} "))

    def pids(self, handle: str) -> tuple[int, int]:
        """Those of the supervisor and of the trainer."""
        self.said(handle, "pid")
        told = json.loads((Path(json.loads(handle)["work"]) / supervisor.PROCESSES).read_text())
        return tuple(json.loads(told[name])[1] for name in ("supervisor", "trainer"))  # type: ignore[return-value]


def gone(pid: int) -> bool:
    return processes.living(processes.identity(pid)) is None


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for handle in made.started:
        made.trainer().cancel(handle)
        made.ended(handle)


def test_a_training_that_succeeds(bench: Bench) -> None:
    found = bench.ended(bench.start("--model", '{"name": "v", "version": 4, "uri": "best.pt"}'))
    assert (found.status, found.exit_code, found.reason) == ("succeeded", 0, None)
    assert found.model is not None
    assert (found.model.name, found.model.version) == ("v", "4")
    assert found.model.uri == str(bench.folder / "0" / "best.pt")
    assert found.seconds is not None
    assert 0 < found.seconds < 60


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--exit", "3"], 3, "exit code 3"),
        (["--nothing"], 0, "nothing is in"),
        (["--model", "{"], 0, "is no JSON"),
        (["--model", "[1]"], 0, "is no object"),
        (["--model", '{"name": ["v"]}'], 0, 'name = ["v"] is no text'),
    ],
)
def test_a_training_that_fails(bench: Bench, arguments: list[str], code: int, says: str) -> None:
    handle = bench.start(*arguments)
    found = bench.ended(handle)
    assert (found.status, found.exit_code) == ("failed", code)
    assert says in (found.reason or "")
    if code:
        assert "no such luck" in bench.log(handle)


def test_a_program_that_cannot_be_run(bench: Bench) -> None:
    script = bench.folder / "train"
    script.write_text("#!/nowhere/python\n")
    script.chmod(0o755)
    handle = bench.start(command=["./train", "--out", "{output}"])
    found = bench.poll(handle)  # known as soon as it is started
    assert (found.status, found.exit_code) == ("failed", 127)
    assert found.reason == "cannot start './train': No such file or directory"
    with pytest.raises(UsageError, match=r"no such command: \./nothing"):
        bench.trainer(command=["./nothing"]).plan(bench.task())


def test_a_program_that_is_not_there_is_refused_before_the_start(bench: Bench) -> None:
    with pytest.raises(UsageError, match="no such command: no-such-trainer"):
        bench.trainer(command=["no-such-trainer", "{output}"]).plan(bench.task())


def test_it_outlives_the_process_that_started_it(bench: Bench) -> None:
    command = [sys.executable, str(SCRIPT), "--out", "{output}", "--seconds", "0.5"]
    for name in ("job", "out"):
        (bench.folder / name).mkdir()
    done = subprocess.run(
        [sys.executable, "-c", LAUNCH, str(bench.folder), *command], capture_output=True, text=True, check=True
    )
    bench.started.append(done.stdout.strip())
    assert bench.poll(done.stdout).status == "running"
    assert bench.ended(done.stdout).status == "succeeded"


def test_it_survives_its_terminal(bench: Bench) -> None:
    """A hang-up goes to the session of the terminal, a kill to the group of the shell."""
    for name in ("job", "out"):
        (bench.folder / name).mkdir()
    command = [sys.executable, str(SCRIPT), "--out", "{output}", "--seconds", "1"]
    shell = subprocess.Popen(
        [sys.executable, "-c", LAUNCH + "import time; time.sleep(60)", str(bench.folder), *command],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert shell.stdout is not None
    with shell.stdout:
        handle = shell.stdout.readline()
    bench.started.append(handle)
    os.killpg(shell.pid, signal.SIGHUP)
    os.killpg(shell.pid, signal.SIGKILL)
    shell.wait()
    assert bench.ended(handle).status == "succeeded"


def test_cancel(bench: Bench) -> None:
    handle = bench.start("--hang")
    _, trainer = bench.pids(handle)
    bench.trainer().cancel(handle)
    found = bench.ended(handle)
    assert (found.status, found.exit_code) == ("cancelled", 128 + signal.SIGTERM)
    assert gone(trainer)
    bench.trainer().cancel(handle)  # of no effect
    assert bench.poll(handle) == found


def test_one_that_ignores_term_is_killed_with_its_children(bench: Bench) -> None:
    bench.grace = "300ms"
    handle = bench.start("--stubborn")
    supervisor_pid, trainer = bench.pids(handle)
    child = int(bench.said(handle, "child"))
    bench.trainer().cancel(handle)
    found = bench.ended(handle)
    assert (found.status, found.exit_code) == ("cancelled", 128 + signal.SIGKILL)
    until(lambda: gone(child) and gone(trainer) and gone(supervisor_pid))


def test_what_takes_too_long_is_ended(bench: Bench) -> None:
    bench.grace, bench.timeout = "300ms", timedelta(seconds=0.5)
    handle = bench.start("--stubborn")
    found = bench.ended(handle)
    assert (found.status, found.exit_code) == ("failed", 128 + signal.SIGKILL)
    assert "[training] timeout" in (found.reason or "")


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel whose child it is")
@pytest.mark.parametrize("session", [False, True])
def test_nothing_of_a_training_goes_on_after_it(bench: Bench, session: bool) -> None:
    """Nor do workers that have a session of their own, such as those of torchrun."""
    start = f"subprocess.Popen(['sleep', '600'], start_new_session={session})"
    script = f"import subprocess, sys; print('child', {start}.pid, flush=True)"
    handle = bench.start(command=[sys.executable, "-c", script + "; open(sys.argv[1] + '/a', 'w')", "{output}"])
    assert bench.ended(handle).status == "succeeded"
    until(lambda: gone(int(bench.said(handle, "child"))))


def test_a_killed_trainer(bench: Bench) -> None:
    handle = bench.start("--hang")
    os.kill(bench.pids(handle)[1], signal.SIGKILL)
    found = bench.ended(handle)
    assert (found.status, found.exit_code, found.reason) == ("failed", 137, "ended by signal 9")


def test_a_killed_supervisor(bench: Bench) -> None:
    """The trainer is asked to end with it: nobody would watch it."""
    handle = bench.start("--hang")
    own, trainer = bench.pids(handle)
    os.kill(own, signal.SIGKILL)
    found = bench.ended(handle)
    assert (found.status, found.exit_code) == ("failed", None)
    assert "its supervisor was killed" in (found.reason or "")
    assert gone(trainer)


def test_a_killed_supervisor_of_a_stubborn_trainer(bench: Bench) -> None:
    handle = bench.start("--stubborn")
    own, trainer = bench.pids(handle)
    os.kill(own, signal.SIGKILL)
    until(lambda: gone(own))
    found = bench.poll(handle)
    assert found.status == "running"
    assert "its supervisor was killed" in (found.reason or "")
    bench.grace = "300ms"
    bench.trainer().cancel(handle)
    assert bench.ended(handle).status == "cancelled"
    until(lambda: gone(trainer))


def test_both_killed(bench: Bench) -> None:
    handle = bench.start("--hang")
    for pid in bench.pids(handle):
        os.kill(pid, signal.SIGKILL)
    assert bench.ended(handle).status == "failed"


def test_a_supervisor_that_is_asked_to_end_ends_the_training(bench: Bench) -> None:
    handle = bench.start("--hang")
    own, trainer = bench.pids(handle)
    os.kill(own, signal.SIGTERM)
    found = bench.ended(handle)
    assert found.status == "failed"
    assert "signal" in (found.reason or "")
    assert gone(trainer)


def test_another_process_with_its_number_is_not_taken_for_it(bench: Bench) -> None:
    """After a reboot the numbers of processes belong to others: their start times differ, and nobody holds the lock."""
    handle = bench.start("--hang")
    for pid in bench.pids(handle):
        os.kill(pid, signal.SIGKILL)
    until(lambda: bench.poll(handle).status == "failed")
    work = Path(json.loads(handle)["work"])
    host, _, start = json.loads(processes.identity())
    with subprocess.Popen(["sleep", "600"]) as bystander:
        reused = json.dumps([host, bystander.pid, f"{start}0"])
        before = json.dumps(["another boot:1", bystander.pid, json.loads(processes.identity(bystander.pid))[2]])
        for identity in (reused, before):
            told = json.dumps({"supervisor": identity, "trainer": identity})
            (work / supervisor.PROCESSES).write_text(told)
            bench.trainer().cancel(handle)
            assert bench.poll(handle).status == "cancelled"  # it was asked to be, and nothing of it lives
            assert bystander.poll() is None
        bystander.kill()


def test_a_log_without_end_is_kept_within_bounds(bench: Bench) -> None:
    handle = bench.start("--print", str(40 << 20))
    assert bench.ended(handle).status == "succeeded"
    work = Path(json.loads(handle)["work"])
    size = (work / supervisor.LOG).stat().st_size
    assert supervisor.LOG_HEAD < size <= supervisor.LOG_BYTES
    log = bench.log(handle)
    assert log.startswith("arguments ")
    assert "output left out here" in log
    assert log.endswith("done\n")


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    place = folder / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "detmon", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_does_not_hide_how_it_ended(bench: Bench, tmp_path: Path) -> None:
    with small_disk(tmp_path, "2m") as disk:
        bench.folder = disk
        handle = bench.start("--print", str(6 << 20), "--exit", "5")
        found = bench.ended(handle)
        assert (found.status, found.exit_code) == ("failed", 5)
        assert len(bench.log(handle)) > 1 << 20
        (disk / "9.job").mkdir()
        bench.started += ["", ""]
        with pytest.raises(OperationError, match="No space left"):
            bench.start("--exit", "5")
        bench.started = [handle]
        until(lambda: gone(bench.pids(handle)[0]))


def test_a_folder_that_is_gone(bench: Bench) -> None:
    handle = bench.start("--exit", "1")
    bench.ended(handle)
    Path(json.loads(handle)["work"]).rename(bench.folder / "elsewhere")
    found = bench.poll(handle)
    assert (found.status, "is gone" in (found.reason or "")) == ("failed", True)
    assert bench.log(handle) == ""
    elsewhere = json.dumps({**json.loads(handle), "host": "another"})
    with pytest.raises(OperationError, match="was started on another"):
        bench.poll(elsewhere)
    for wrong in ("", "[]", "{}", "nonsense"):
        with pytest.raises(OperationError, match="is no handle"):
            bench.poll(wrong)


def test_arguments_stay_what_they_are(bench: Bench) -> None:
    """No shell, no second look at what stands for a placeholder."""
    work = bench.folder / "a b'c\"{name}$HOME"
    work.mkdir()
    task = TrainingTask("tj_1", "{output} $(x) ;'\"", work, work, work, "dv", "", "s3://m/{job}", timedelta(hours=1))
    words = ["{dataset}/data.yaml", "--n={name}", '{"lr": {"a": 1}}', "{{name}}", "{}", "{1,2}", "{base_model}", ""]
    assert fill(words, task) == [
        f"{work}/data.yaml",
        "--n={output} $(x) ;'\"",
        '{"lr": {"a": 1}}',
        "{name}",
        "{}",
        "{1,2}",
        "s3://m/{job}",
        "",
    ]
    trainer = bench.trainer("--name", "{name}", "{dataset}")
    handle = trainer.start(task)
    bench.started.append(handle)
    assert bench.ended(handle).status == "succeeded"
    told = json.loads(bench.said(handle, "arguments"))
    assert told == ["--out", str(work), "--name", "{output} $(x) ;'\"", str(work)]


@pytest.mark.parametrize(
    ("command", "error", "says"),
    [
        (None, ConfigError, "has no command"),
        ("python train.py", ConfigError, "is no list of texts"),
        ([], ConfigError, "is no list of texts"),
        (["python", 1], ConfigError, "is no list of texts"),
        (["python", "{outptu}"], UnknownName, "unknown placeholder"),
        (["python", "{base_model}"], UsageError, "this job has none"),
    ],
)
def test_templates_that_cannot_be_filled(bench: Bench, command: object, error: type[UsageError], says: str) -> None:
    trainer = Command(TrainerConfig({"command": command}, bench.folder, dict(os.environ)))
    with pytest.raises(error, match=says):
        trainer.plan(bench.task())


def test_the_report_is_made_once_it_is_over(bench: Bench) -> None:
    told = bench.folder / "told"
    script = f"import os, sys; open({str(told)!r}, 'a').write('x'); sys.exit(2)"
    task = bench.task()
    task = TrainingTask(**{**vars(task), "report": (sys.executable, "-c", script)})
    handle = bench.trainer().start(task)
    bench.started.append(handle)
    until(told.exists)
    assert bench.poll(handle).status == "succeeded"
    until(lambda: gone(bench.pids(handle)[0]))
    assert told.read_text() == "x"
