"""The outbox: what merges into one story, who may claim, what people do with notices."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import Shell
from outbox_help import NOON, at, item, later, lines, notice, queue
from slack_server import SlackServer, running

from detmon import Client, processes
from detmon.hookspecs import Item
from detmon.notices import Notice, canonical
from detmon.notify import merge, outbox
from detmon.times import parse_instant


def waiting(seq: int, told: Notice, **changes: Any) -> merge.Waiting:
    values: dict[str, Any] = {
        "notice_id": told.notice_id,
        "seq": seq,
        "notice": told,
        "run_id": "r",
        "created_at": at("10:05"),
        "not_before": at("10:05"),
        "expires_at": at("10:05") + timedelta(days=1),
        "attempts": 0,
        "ambiguous": False,
    }
    return merge.Waiting(**(values | changes))


def story(*items: Item) -> list[str]:
    return [one.kind for one in merge.fold(items)]


# --- one story ---------------------------------------------------------------------------------------------------


def test_what_an_episode_came_to() -> None:
    assert story(item("firing"), item("resolved")) == ["missed"]
    assert story(item("firing"), item("closed")) == ["missed"]
    assert story(item("firing"), item("reminder"), item("reminder")) == ["firing"]
    assert story(item("firing"), item("reminder"), item("resolved")) == ["missed"]
    assert story(item("reminder"), item("resolved")) == ["resolved"]
    assert story(item("no_data"), item("no_data_resolved")) == ["no_data_resolved"]
    assert story(item("firing"), item("refresh"), item("reminder")) == ["firing"]
    assert story(item("reminder"), item("refresh")) == ["reminder"]
    assert story(item("refresh"), item("reminder")) == ["reminder"]
    assert story(item("refresh"), item("resolved")) == ["resolved"]
    second = item("firing", episode_id="another")
    assert story(item("firing"), item("resolved"), second) == ["missed", "firing"]


def test_the_newest_value_and_the_first_beginning() -> None:
    (told,) = merge.fold([item("firing", value=0.6), item("reminder", value=0.5, fired_at=None)])
    assert (told.kind, told.value, told.fired_at) == ("firing", 0.5, at("10:05"))


def test_rows_of_one_rule_become_one_new_row() -> None:
    first = waiting(3, notice("file:x", item("firing")), ambiguous=True, attempts=4)
    second = waiting(7, notice("file:x", item("resolved"), slot="10:35"))
    (one,) = merge.backlog([first, second])
    (row,) = one.rows
    assert (row.seq, row.notice.kind, row.ambiguous, row.attempts) == (3, "missed", True, 4)
    assert row.notice_id not in (first.notice_id, second.notice_id)
    assert merge.backlog([row]) == []


def test_rows_of_different_rules_stay_apart_until_they_are_a_storm() -> None:
    rows = [waiting(number, notice("file:x", item(alert=f"A{number}"))) for number in range(11)]
    assert merge.backlog(rows[:10]) == []
    (one,) = merge.backlog(rows)
    (row,) = one.rows
    assert (row.notice.kind, len(row.notice.items), row.seq) == ("digest", 11, 0)
    assert one.old == tuple(rows)


def test_a_stateful_target_hears_the_latest_state_only() -> None:
    rows = [
        waiting(1, notice("file:x", item("firing"))),
        waiting(2, notice("file:x", item("firing", number=2))),
        waiting(3, notice("file:x", item("resolved"), slot="10:35")),
    ]
    (gone,) = merge.backlog(rows, per_instance=True, stateful=True)
    assert gone.rows == ()
    assert gone.old == (rows[0], rows[2])
    (told,) = merge.backlog(rows, per_instance=True, stateful=True, deliver_closed=True)
    assert told.rows[0].notice.kind == "missed"
    (one,) = merge.backlog(rows, stateful=True)
    assert [news.labels["source"] for news in one.rows[0].notice.items] == ["cam-2"]


def test_a_stateful_target_that_may_have_heard_of_it_is_told_its_end() -> None:
    rows = [
        waiting(1, notice("file:x", item("firing")), ambiguous=True),
        waiting(2, notice("file:x", item("resolved"), slot="10:35")),
    ]
    (closed,) = merge.backlog(rows, per_instance=True, stateful=True)
    assert [row.notice.kind for row in closed.rows] == ["resolved"]


def test_a_stateful_target_hears_of_the_next_episode_instead_of_the_end_of_the_last() -> None:
    rows = [
        waiting(1, notice("file:x", item("resolved"))),
        waiting(2, notice("file:x", item("firing", episode_id="another"), slot="10:35")),
        waiting(3, notice("file:x", item("no_data", episode_id=f"{item().instance_key}.no_data.1"), slot="10:40")),
    ]
    (one,) = merge.backlog(rows, per_instance=True, stateful=True)
    assert (one.old, [news.kind for news in one.rows[0].notice.items]) == ((rows[0], rows[1]), ["firing"])


def test_a_channel_that_wants_one_notice_an_instance() -> None:
    row = waiting(1, notice("file:x", item("firing"), item("resolved", number=2)))
    (one,) = merge.split([row, waiting(2, notice("file:x", item(number=3)))])
    assert one.old == (row,)
    assert [(part.seq, part.notice.kind, len(part.notice.items)) for part in one.rows] == [
        (1, "firing", 1),
        (1, "resolved", 1),
    ]
    assert len({part.notice_id for part in one.rows} | {row.notice_id}) == 3


def test_merged_rows_keep_the_order(detmon: Shell) -> None:
    folder = detmon.folder / "absent"
    target = f"file:{folder}/told.jsonl"
    queue(detmon.folder, notice(target, item(alert="A")))
    detmon("--now", NOON, "notify", "send")
    queue(detmon.folder, notice(target, item(alert="B")))
    queue(detmon.folder, notice(target, item("resolved", alert="A"), slot="10:35"))
    folder.mkdir()
    sent = detmon("--now", later(NOON, minutes=2), "notify", "send", "--json").json
    assert (sent["sent"], sent["merged"]) == (2, 2)
    told = [(line["alert"]["name"], line["kind"]) for line in lines(folder / "told.jsonl")]
    assert told == [("A", "missed"), ("B", "firing")]
    statuses = sorted(row["status"] for row in detmon("notify", "list", "--json").json)
    assert statuses == ["merged", "merged", "sent", "sent"]


# --- claims ------------------------------------------------------------------------------------------------------


def claim_by(folder: Path, claimant: str, lease_until: str) -> None:
    con = duckdb.connect(str(folder / "detmon.duckdb"))
    con.execute(
        "UPDATE outbox SET status = 'sending', attempts = 1, owner = $owner, lease_until = $lease",
        {"owner": claimant, "lease": parse_instant(lease_until)},
    )
    con.close()


def test_a_living_claimant_is_left_alone(detmon: Shell) -> None:
    queue(detmon.folder, notice(f"file:{detmon.folder}/told.jsonl"))
    claim_by(detmon.folder, processes.identity(), later(NOON, minutes=3))
    delivery = detmon("--now", NOON, "notify", "send", "--json").json
    assert (delivery["sent"], delivery["in_flight"]) == (0, 1)


def test_a_notice_that_cannot_be_read_stops_no_other_target(detmon: Shell) -> None:
    good, bad = (detmon.folder / f"{name}.jsonl" for name in ("good", "bad"))
    queue(detmon.folder, notice(f"file:{bad}"), notice(f"file:{good}"))
    con = duckdb.connect(str(detmon.folder / "detmon.duckdb"))
    con.execute("UPDATE outbox SET payload = '{}' WHERE contains(target, 'bad')")
    con.close()
    assert "cannot be read" in detmon("--now", NOON, "notify", "send").err
    assert (len(lines(good)), len(lines(bad))) == (1, 0)


def test_of_another_host_only_the_lease_counts(detmon: Shell) -> None:
    file = detmon.folder / "told.jsonl"
    queue(detmon.folder, notice(f"file:{file}"))
    claim_by(detmon.folder, canonical(["another host", 1, "1"]), later(NOON, minutes=3))
    assert detmon("--now", NOON, "notify", "send", "--json").json["in_flight"] == 1
    assert detmon("--now", later(NOON, minutes=4), "notify", "send", "--json").json["sent"] == 1
    assert lines(file)[0]["maybe_repeat"] is True


def test_a_process_that_reuses_the_pid_is_another() -> None:
    host, pid, start = json.loads(processes.identity())
    assert not processes.is_dead(json.dumps([host, pid, start]))
    assert processes.is_dead(json.dumps([host, pid, "1"]))
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert processes.is_dead(json.dumps([host, ended.pid, start]))
    assert not processes.is_dead(json.dumps(["another host", ended.pid, start]))


def test_back_off_grows_to_a_quarter_of_an_hour_and_repeats() -> None:
    for notice_id, share in (("00000000", 0.8), ("ffffffff", 1.2)):
        waits = [outbox.backoff(attempt, notice_id) for attempt in range(1, 8)]
        assert waits == pytest.approx([share * wait for wait in (60, 120, 240, 480, 900, 900, 900)])


def test_a_term_signal_ends_the_run_in_good_order(detmon: Shell) -> None:
    with running() as slack:
        slack.hold = threading.Event()
        detmon.monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.webhook())
        queue(detmon.folder, *(notice("slack:#x", item(alert=f"A{number}")) for number in range(3)))
        command = detmon.command("--now", NOON, "notify", "send")
        process = subprocess.Popen(command, cwd=detmon.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        until_asked(slack)
        process.send_signal(signal.SIGTERM)
        slack.hold.set()
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    rows = detmon("notify", "list", "--json").json
    assert sorted((row["status"], row["attempts"]) for row in rows) == [("queued", 0), ("queued", 0), ("sent", 1)]


def until_asked(slack: SlackServer) -> None:
    for _ in range(600):
        if slack.posts:
            return
        threading.Event().wait(0.05)
    raise AssertionError("nothing was sent within 30 s")


# --- people ------------------------------------------------------------------------------------------------------


@pytest.fixture
def dead(detmon: Shell) -> str:
    """The id of a dead letter."""
    link = detmon.folder / "link"
    link.symlink_to(detmon.folder / "elsewhere")
    queue(detmon.folder, notice(f"file:{link}"))
    failed = detmon("--now", NOON, "notify", "send", code=4)
    assert "is a symbolic link" in failed.err
    (row,) = detmon("notify", "list", "--status", "dead", "--json").json
    return str(row["notice_id"])


def test_a_dead_letter_is_shown_and_tried_again(detmon: Shell, dead: str) -> None:
    shown = detmon("notify", "show", dead[:8]).out
    assert "is a symbolic link" in shown
    assert "FIRING  Low Confidence Alert" in shown
    assert detmon("notify", "show", dead, "--json").json["kind"] == "firing"
    (detmon.folder / "link").unlink()
    (row,) = detmon("--now", later(NOON, days=3), "notify", "retry", "--dead", "--json").json
    assert row["status"] == "queued"
    assert detmon("--now", later(NOON, days=3), "notify", "send", "--json").json["sent"] == 1


def test_an_old_firing_is_not_told_after_its_end(detmon: Shell, dead: str) -> None:
    link = detmon.folder / "link"
    link.unlink()
    queue(detmon.folder, notice(f"file:{link}", item("resolved"), slot="10:35"))
    detmon("--now", later(NOON, minutes=1), "notify", "send", code=4)
    (row,) = detmon("--now", later(NOON, minutes=2), "notify", "retry", dead, "--json").json
    assert row["status"] == "dropped"
    assert [line["kind"] for line in lines(link)] == ["resolved"]


def test_a_dead_letter_makes_runs_fail_until_it_is_dropped(detmon: Shell, dead: str) -> None:
    assert "dead letters: 1" in detmon("--now", later(NOON, minutes=1), "notify", "send", code=4).err
    detmon("--now", later(NOON, days=8), "notify", "send")
    detmon("notify", "drop", dead)
    assert detmon("--now", later(NOON, minutes=1), "notify", "send", "--json").json["dead"] == 0
    assert "neither dead nor waiting" in detmon("notify", "drop", dead, code=2).err


def test_names_that_do_not_exist(detmon: Shell) -> None:
    queue(detmon.folder)
    assert "unknown notice" in detmon("notify", "show", "abc", code=2).err
    assert "did you mean 'dead'?" in detmon("notify", "list", "--status", "ded", code=2).err
    assert "no notice is named" in detmon("notify", "retry", code=2).err
    assert "did you mean 'firing'?" in detmon("notify", "test", "stdout:", "--kind", "fireing", code=2).err
    (detmon.folder / "detmon.toml").write_text('[notify]\nfallbak = "stdout:"\n')
    assert "did you mean 'fallback'?" in detmon("notify", "list", code=2).err


def test_threads_of_one_process_send_one_message(detmon: Shell) -> None:
    file = detmon.folder / "told.jsonl"
    queue(detmon.folder, notice(f"file:{file}"), notice(f"file:{file}", item("resolved"), slot="10:35"))
    with ThreadPoolExecutor(4) as pool:
        sent = list(pool.map(lambda _: Client(now=NOON).send_notices().sent, range(4)))
    assert (sum(sent), [line["kind"] for line in lines(file)]) == (1, ["missed"])


def test_a_target_gets_its_share_of_the_run(detmon: Shell) -> None:
    detmon.monkeypatch.setattr("detmon.notify.delivery.TARGET_BUDGET", 0.0)
    file = detmon.folder / "told.jsonl"
    queue(detmon.folder, *(notice(f"file:{file}", item(alert=f"A{number}")) for number in range(5)))
    delivery = detmon("--now", NOON, "notify", "send", "--json").json
    assert (delivery["sent"], delivery["queued"]) == (1, 4)
    assert {row["attempts"] for row in detmon("notify", "list", "--json").json} == {0, 1}


def outages(detmon: Shell, seed: int, steps: int) -> None:
    """Rules fire, remind and resolve while their target comes and goes; every episode is told as one sound story."""
    chance = random.Random(seed)
    folder, hidden = detmon.folder / "mount", detmon.folder / "unmounted"
    folder.mkdir()
    file = folder / "told.jsonl"
    ended: list[str] = []
    open_episodes: dict[int, str] = {}
    for step in range(steps):
        rule = chance.randrange(3)
        slot = later(NOON, minutes=20 * step)
        if rule not in open_episodes:
            open_episodes[rule], kind = f"{rule}.{step}", "firing"
        else:
            kind = chance.choice(["reminder", "resolved"])
        episode = open_episodes[rule]
        if kind == "resolved":
            ended.append(open_episodes.pop(rule))
        told = item(kind, alert=f"A{rule}", episode_id=episode)
        queue(detmon.folder, notice(f"file:{file}", told, slot=slot[11:16]), now=slot)
        if chance.random() < 0.4:
            here, there = (folder, hidden) if folder.exists() else (hidden, folder)
            here.rename(there)
        detmon("--now", slot, "notify", "send", code=None)
    if hidden.exists():
        hidden.rename(folder)
    assert detmon("--now", later(NOON, minutes=20 * steps + 20), "notify", "send", "--json").json["queued"] == 0
    stories: dict[str, str] = {}
    for line in lines(file):
        for one in line["items"]:
            stories[one["episode_id"]] = f"{stories.get(one['episode_id'], '')}{one['kind'][0]}"
    assert set(stories) == {*ended, *open_episodes.values()}
    for episode, kinds in stories.items():  # f: firing, r: reminder or resolved, m: missed
        assert re.fullmatch("m|fr+" if episode in ended else "fr*", kinds), (episode, kinds)


def test_random_outages(detmon: Shell) -> None:
    outages(detmon, seed=0, steps=10)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_many_random_outages(detmon: Shell, seed: int) -> None:
    outages(detmon, seed + 100, steps=40)
