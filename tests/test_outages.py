"""Channels that are down, slow or unreachable, and stores that are locked: what is told when they are back."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import Shell
from outbox_help import lines
from slack_server import SlackServer, running
from test_delivery_rows import body, clock, every_five_minutes, log, rule
from test_email import Mailbox, smtp_server
from test_outbox import until_asked


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detmon.notify.sending.SECOND_TRY_AFTER", 0.01)


@dataclass
class Channels:
    """A Slack, a mailbox and a file that can be down."""

    slack: SlackServer
    mailbox: Mailbox
    folder: Path

    def down(self, *names: str) -> None:
        self.slack.down = "slack" in names
        self.mailbox.mail_from_answer = "421 going down" if "email" in names else None
        away = self.folder.with_name("away")
        if ("file" in names) == self.folder.exists():
            self.folder.rename(away) if self.folder.exists() else away.rename(self.folder)

    @property
    def told(self) -> dict[str, list[str]]:
        """What each has got, by its kinds."""
        return {
            "slack": [post["blocks"][0]["text"]["text"].split(" · ")[0] for post in self.slack.shown],
            "email": [str(mail["X-Detmon-State"]) for mail in self.mailbox.mails],
            "file": [line["kind"] for line in lines(self.folder / "told.jsonl")],
        }


@contextmanager
def channels(detmon: Shell, settings: str = "") -> Iterator[tuple[Channels, list[str]]]:
    """The channels and their targets, configured."""
    mailbox, folder = Mailbox(), detmon.folder / "mount"
    folder.mkdir()
    with running() as slack, smtp_server(mailbox) as port:
        slack.rate_limit = 0.0
        detmon.monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.webhook())
        (detmon.folder / "detmon.toml").write_text(
            f'[notify]\n{settings}\n[notify.email]\nhost = "127.0.0.1"\nport = {port}\ntls = "none"\n'
            'from = "detmon@example.com"\n'
        )
        targets = ["slack:#ml-alerts", "email:team@example.com", f"file:{folder}/told.jsonl"]
        yield Channels(slack, mailbox, folder), targets


def runs(detmon: Shell, start: str, end: str) -> dict[str, int]:
    """A check every five minutes; their exit codes."""
    return {
        time: detmon("--now", clock(time), "alert", "check", code=None).code for time in every_five_minutes(start, end)
    }


def test_the_end_of_what_nobody_was_told_is_the_whole_story(detmon: Shell) -> None:
    log(detmon.folder, ("10:00", "10:15"))
    told = detmon.folder / "told.jsonl"
    told.symlink_to(detmon.folder / "elsewhere")
    rule(detmon, f"file:{told}")
    detmon("--now", clock("10:05"), "alert", "check", code=4)
    assert [row["status"] for row in detmon("notify", "list", "--json").json] == ["dead"]
    told.unlink()
    detmon("--now", clock("11:00"), "alert", "check", code=4)
    [line] = lines(told)
    assert line["kind"] == "missed"
    assert "(the notice that it fired was never delivered)" in line["text"]


# --- every channel at once -----------------------------------------------------------------------------------------


def test_what_fires_and_resolves_while_every_channel_is_down_is_told_once(detmon: Shell) -> None:
    log(detmon.folder, ("10:00", "10:15"))
    with channels(detmon) as (there, targets):
        rule(detmon, *targets)
        there.down("slack", "email", "file")
        codes = runs(detmon, "10:05", "10:30")
        there.down()
        assert there.told == {"slack": [], "email": [], "file": []}
        codes |= runs(detmon, "10:35", "10:50")
        assert there.told == {"slack": ["🟢 MISSED"], "email": ["missed"], "file": ["missed"]}
        [item] = lines(there.folder / "told.jsonl")[0]["items"]
    assert (item["fired_at"], item["ended_at"]) == (clock("10:05"), clock("10:20"))
    for text in (json.dumps(there.slack.shown, ensure_ascii=False), body(there.mailbox.mails[0])):
        assert "fired 10:05, resolved 10:20 UTC" in text
        assert "delivered late" in text
    assert (codes["10:15"], codes["10:25"], codes["10:50"]) == (0, 4, 0)


def test_what_still_fires_after_the_outage_is_told_as_firing(detmon: Shell) -> None:
    log(detmon.folder, ("10:00", "10:40"))
    with channels(detmon) as (there, targets):
        rule(detmon, *targets)
        there.down("slack", "email", "file")
        runs(detmon, "10:05", "10:20")
        there.down()
        runs(detmon, "10:25", "10:55")
    assert there.told == {
        "slack": ["🔴 FIRING", "🟢 RESOLVED"], "email": ["firing", "resolved"], "file": ["firing", "resolved"],
    }  # fmt: skip
    assert lines(there.folder / "told.jsonl")[0]["items"][0]["fired_at"] == clock("10:05")


@pytest.mark.parametrize("broken", ["slack", "email", "file"])
def test_one_channel_down_is_said_on_the_others(detmon: Shell, broken: str) -> None:
    """The others are told in time, each message says who is unreachable; the fallback hears of it once."""
    fallback = detmon.folder / "oncall.jsonl"
    log(detmon.folder, ("10:00", "10:15"))
    with channels(detmon, f'fallback = "file:{fallback}"') as (there, targets):
        rule(detmon, *targets)
        there.down(broken)
        codes = runs(detmon, "10:05", "10:30")
        healthy = {name: told for name, told in there.told.items() if name != broken}
        assert {len(told) for told in healthy.values()} == {2}
        there.down()
        runs(detmon, "10:35", "10:55")
        assert len(there.told[broken]) == 1
        texts = [json.dumps(there.slack.shown, ensure_ascii=False), *map(body, there.mailbox.mails)]
        texts += [line["text"] for line in lines(there.folder / "told.jsonl")]
    [target] = [target for target in targets if target.startswith(broken)]
    assert any(f"⚠ {target} unreachable since 2024-03-04 10:05 UTC" in text for text in texts)
    assert [line["kind"] for line in lines(fallback)] == ["delivery_failing"]
    assert (codes["10:15"], codes["10:20"], codes["10:30"]) == (0, 4, 4)


# --- slow, unknown, locked -----------------------------------------------------------------------------------------


def test_a_channel_that_hangs_holds_up_nobody(detmon: Shell) -> None:
    import detmon_slack

    hasty = replace(detmon_slack.Slack.capabilities, timeout_s=0.5)
    detmon.monkeypatch.setattr("detmon_slack.Slack.capabilities", hasty)
    log(detmon.folder, ("10:00", "10:30"))
    with channels(detmon) as (there, targets):
        rule(detmon, *targets)
        there.slack.hold = threading.Event()
        run = detmon("--now", clock("10:05"), "alert", "check")
        assert (there.told["email"], there.told["file"]) == (["firing"], ["firing"])
        assert "no answer within" in run.err
        there.slack.hold.set()
        there.slack.hold = None
        runs(detmon, "10:10", "10:10")
        assert "may be a repeat" in json.dumps(there.slack.shown[-1])


def test_a_name_that_does_not_resolve_loses_nothing(detmon: Shell) -> None:
    log(detmon.folder, ("10:00", "10:30"))
    with channels(detmon) as (there, targets):
        rule(detmon, *targets)
        detmon.monkeypatch.setenv("SLACK_WEBHOOK_URL", "https://hooks.slack.invalid/services/T0/B0/planted-8812")
        run = detmon("--now", clock("10:05"), "alert", "check")
        assert "planted-8812" not in run.err
        assert "the host's name does not resolve" in run.err
        detmon.monkeypatch.setenv("SLACK_WEBHOOK_URL", there.slack.webhook())
        runs(detmon, "10:10", "10:10")
        assert there.told["slack"] == ["🔴 FIRING"]


def test_what_was_sent_and_could_not_be_written_down_is_repeated_and_says_so(detmon: Shell) -> None:
    log(detmon.folder, ("10:00", "10:30"))
    with channels(detmon) as (there, targets):
        rule(detmon, targets[0])
        there.slack.hold = threading.Event()
        command = detmon.command("--now", clock("10:05"), "--lock-timeout", "0.5", "alert", "check")
        process = subprocess.Popen(command, cwd=detmon.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_for_a_post(there.slack)
        holder = duckdb.connect(str(detmon.folder / "detmon.duckdb"))
        there.slack.hold.set()
        out, errors = process.communicate(timeout=60)
        holder.close()
        assert process.returncode == 4, errors
        assert b"the next run may repeat it" in errors
        assert b"FIRING" in out  # the check itself was written down, and is reported
        there.slack.hold = None
        runs(detmon, "10:10", "10:10")
        first, second = (json.dumps(post["blocks"], ensure_ascii=False) for post in there.slack.shown)
    assert ("may be a repeat" in first, "may be a repeat" in second) == (False, True)


def wait_for_a_post(slack: SlackServer) -> None:
    for _ in range(600):
        if slack.posts:
            return
        threading.Event().wait(0.05)
    raise AssertionError("nothing was sent within 30 s")


def test_a_check_that_is_stopped_while_it_delivers_reports_what_was_decided(detmon: Shell) -> None:
    log(detmon.folder, ("10:00", "10:15"))
    with running() as slack:
        slack.hold = threading.Event()
        detmon.monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.webhook())
        rule(detmon, "slack:#x")
        command = detmon.command("--now", clock("10:05"), "alert", "check", "--json")
        process = subprocess.Popen(command, cwd=detmon.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        until_asked(slack)
        process.send_signal(signal.SIGTERM)
        slack.hold.set()
        out, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert [event["kind"] for event in json.loads(out)["events"]] == ["firing"]
    assert b"the delivery was stopped" in errors


def test_a_delivery_that_finds_the_store_locked_reports_what_was_decided(detmon: Shell) -> None:
    """The check is committed: its events must not be lost to those who read its output."""
    from detmon import notify

    file = detmon.folder / "told.jsonl"
    log(detmon.folder, ("10:00", "10:30"))
    rule(detmon, f"file:{file}")

    def locked(store: Any, *args: Any, **kwargs: Any) -> Any:
        holder = subprocess.Popen(
            [*detmon.command()[:1], "-c", HOLD, str(store.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        try:
            return deliver(store, *args, **kwargs)
        finally:
            holder.communicate("")

    deliver = notify.deliver
    detmon.monkeypatch.setattr(notify, "deliver", locked)
    run = detmon("--now", clock("10:05"), "--lock-timeout", "0.2", "alert", "check", "--json", code=4)
    assert [event["kind"] for event in run.json["events"]] == ["firing"]
    assert "process" in run.err
    detmon.monkeypatch.setattr(notify, "deliver", deliver)
    detmon("--now", clock("10:06"), "alert", "check")
    assert [line["kind"] for line in lines(file)] == ["firing"]


HOLD = "import duckdb, sys; con = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
