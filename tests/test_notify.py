"""Delivery: claims, order, outcomes, back-off, crashes; through the front door."""

from __future__ import annotations

import os
import random
import subprocess
from contextlib import suppress

import pytest
from conftest import Shell
from outbox_help import NOON, item, later, lines, notice, queue


def test_nothing_waits(detmon: Shell) -> None:
    queue(detmon.folder)
    delivery = detmon("notify", "send", "--json").json
    assert (delivery["sent"], delivery["queued"], delivery["dead"]) == (0, 0, 0)


def test_a_notice_is_sent_once_and_in_order(detmon: Shell) -> None:
    file = detmon.folder / "told.jsonl"
    queue(detmon.folder, notice(f"file:{file}", item(alert="B")), notice(f"file:{file}", item(alert="A")))
    assert detmon("--now", NOON, "notify", "send", "--json").json["sent"] == 2
    detmon("--now", NOON, "notify", "send")
    assert [line["alert"]["name"] for line in lines(file)] == ["B", "A"]
    assert file.stat().st_mode & 0o777 == 0o600
    rows = detmon("notify", "list", "--json").json
    assert [(row["status"], row["attempts"]) for row in rows] == [("sent", 1), ("sent", 1)]


def test_stdout_is_for_people_and_json_for_scripts(detmon: Shell) -> None:
    queue(detmon.folder, notice("stdout:"))
    shown = detmon("--now", NOON, "notify", "send").out
    assert "FIRING  Low Confidence Alert · yolo-prod" in shown
    assert "threshold < 0.7" in shown
    queue(detmon.folder, notice("stdout:", slot="11:00"))
    result = detmon("--now", NOON, "notify", "send", "--json")
    assert result.json["sent"] == 1
    assert "FIRING" in result.err


def test_a_failing_target_is_tried_again_later_and_loses_nothing(detmon: Shell) -> None:
    folder = detmon.folder / "absent"
    queue(detmon.folder, notice(f"file:{folder}/told.jsonl"), notice(f"file:{detmon.folder}/other.jsonl"))
    failed = detmon("--now", NOON, "notify", "send")
    assert "No such file or directory; detmon will try again" in failed.err
    assert len(lines(detmon.folder / "other.jsonl")) == 1
    folder.mkdir()
    detmon("--now", later(NOON, seconds=10), "notify", "send")  # too early: 60 s ± 20 %
    assert lines(folder / "told.jsonl") == []
    detmon("--now", later(NOON, seconds=75), "notify", "send")
    (told,) = lines(folder / "told.jsonl")
    assert (told["attempt"], told["maybe_repeat"]) == (2, False)


@pytest.mark.parametrize(
    ("failpoint", "before", "after", "repeat"),
    [
        ("notify.in_claim", 0, 1, False),
        ("notify.after_claim", 0, 1, True),
        ("notify.after_send", 1, 2, True),
        ("notify.after_ack", 1, 1, False),
    ],
)
def test_killed_at(detmon: Shell, failpoint: str, before: int, after: int, repeat: bool) -> None:
    file = detmon.folder / "told.jsonl"
    queue(detmon.folder, notice(f"file:{file}"))
    killed = detmon.process("--now", NOON, "notify", "send", env={"DETMON_FAILPOINT": failpoint})
    assert killed.returncode == -9
    assert b"DETMON_FAILPOINT" in killed.stderr
    assert len(lines(file)) == before
    detmon("--now", NOON, "notify", "send")
    told = lines(file)
    assert len(told) == after
    assert len({line["notice_id"] for line in told}) == 1
    assert told[-1]["maybe_repeat"] is repeat


def test_six_processes_send_one_message(detmon: Shell) -> None:
    file = detmon.folder / "told.jsonl"
    queue(detmon.folder, notice(f"file:{file}"))
    command = detmon.command("--now", NOON, "notify", "send", "--json")
    started = [
        subprocess.Popen(command, cwd=detmon.folder, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(6)
    ]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in started]
    assert [code for _, _, code in ended] == [0] * 6
    assert len(lines(file)) == 1


def kills(detmon: Shell, rounds: int, seed: int) -> None:
    """Kill `notify send` at random moments; in the end everything was told, in order, and repeats say so."""
    file = detmon.folder / "told.jsonl"
    names = [f"A{number}" for number in range(rounds)]
    chance = random.Random(seed)
    for name in names:
        queue(detmon.folder, notice(f"file:{file}", item(alert=name)))
        process = subprocess.Popen(detmon.command("--now", NOON, "notify", "send"), cwd=detmon.folder, env=os.environ)
        with suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0.1, 0.8))
        process.kill()
        process.wait()
    detmon("--now", later(NOON, minutes=1), "notify", "send")
    told = [(line["alert"]["name"], line["maybe_repeat"]) for line in lines(file) if line["kind"] == "firing"]
    first = list(dict.fromkeys(name for name, _ in told))
    assert first == names
    repeats = [repeat for number, (name, repeat) in enumerate(told) if name in [seen for seen, _ in told[:number]]]
    assert all(repeats)
    assert {row["status"] for row in detmon("notify", "list", "--json").json} == {"sent"}


def test_killed_at_random_moments(detmon: Shell) -> None:
    kills(detmon, rounds=4, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_killed_at_many_random_moments(detmon: Shell, seed: int) -> None:
    kills(detmon, rounds=10, seed=seed)


def test_many_targets_are_served_side_by_side(detmon: Shell) -> None:
    files = [detmon.folder / f"told-{number}.jsonl" for number in range(20)]
    queue(detmon.folder, *(notice(f"file:{file}") for file in files))
    assert detmon("--now", NOON, "notify", "send", "--json").json["sent"] == 20
    assert [len(lines(file)) for file in files] == [1] * 20
