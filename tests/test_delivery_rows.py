"""From a rule to the reader: outages, crashes and crowds, through `alert check`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import stored
from conftest import Shell
from outbox_help import lines
from receivers import Receiver, receiving
from slack_server import running
from test_alert_vectors import named, of_kind
from test_email import Mailbox, smtp_server

CRASHES = [
    ("check.in_tx", 0, 1, False),
    ("check.before_outbox", 0, 1, False),
    ("check.before_commit", 0, 1, False),
    ("check.after_commit", 0, 1, False),
    ("notify.in_claim", 0, 1, False),
    ("notify.after_claim", 0, 1, True),
    ("notify.after_send", 1, 2, True),
    ("notify.after_ack", 1, 1, False),
]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detmon.notify.sending.SECOND_TRY_AFTER", 0.01)


def clock(time: str) -> str:
    """`10:05` on the day of the log."""
    return f"2024-03-04T{time}:00Z"


def log(folder: Path, bad: tuple[str, str], end: str = "12:30") -> None:
    """A prediction every 30 s from 10:00; its confidence is low from `bad[0]` until `bad[1]`."""
    start, stop = (_seconds(time) for time in bad)
    rows = [
        stored.Row(stored.at(second), boxes=[("car", 0.3 if start <= second < stop else 0.9)])
        for second in range(_seconds("10:00"), _seconds(end), 30)
    ]
    stored.store(folder, rows)


def _seconds(time: str) -> int:
    hours, minutes = time.split(":")
    return int(hours) * 3600 + int(minutes) * 60


def rule(detmon: Shell, *targets: str) -> None:
    options = [part for target in targets for part in ("--notify", target)]
    detmon(
        "--now", clock("10:00"), "alert", "create", "Low", "--model", "m", "--metric", "avg_confidence",
        "--operator", "lt", "--threshold", "0.7", "--window", "5m", "--every", "5m", "--min-samples", "1", *options,
    )  # fmt: skip


def every_five_minutes(start: str, end: str) -> Iterator[str]:
    moment, last = timedelta(seconds=_seconds(start)), timedelta(seconds=_seconds(end))
    while moment <= last:
        minutes = int(moment.total_seconds()) // 60
        yield f"{minutes // 60:02d}:{minutes % 60:02d}"
        moment += timedelta(minutes=5)


def test_an_outage_is_told_once(detmon: Shell) -> None:
    outage(detmon, until="10:50", end="11:10")


@pytest.mark.parametrize("case", named("outage_2h_fire_and_resolve_inside"))
def test_an_outage_of_two_hours_is_told_once(case: dict[str, Any], detmon: Shell) -> None:
    assert case["episode"] == {"fired_at": "10:05", "resolved_at": "10:35"}
    assert case["server"] == {"503_from": "10:05", "200_from": "12:05"}
    outage(detmon, until="12:05", end="12:30")


def outage(detmon: Shell, until: str, end: str) -> None:
    """Slack is down from 10:05; an alert fires at 10:05 and resolves at 10:35."""
    mailbox = Mailbox()
    log(detmon.folder, ("10:00", "10:30"))
    with running() as slack, smtp_server(mailbox) as port:
        detmon.monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.webhook())
        (detmon.folder / "detmon.toml").write_text(
            f'[notify.email]\nhost = "127.0.0.1"\nport = {port}\ntls = "none"\nfrom = "detmon@example.com"\n'
        )
        rule(detmon, "slack:#ml-alerts", "email:team@example.com")
        told: dict[str, list[str]] = {}
        codes = {}
        for time in every_five_minutes("10:05", end):
            slack.down = time < until
            codes[time] = detmon("--now", clock(time), "alert", "check", code=None).code
            told[time] = [str(mail["X-Detmon-State"]) for mail in mailbox.mails]
    assert (told["10:05"], told["10:30"], told["10:35"]) == (["firing"], ["firing"], ["firing", "resolved"])
    (late,) = slack.shown
    text = json.dumps(late, ensure_ascii=False)
    assert "MISSED · Low · m" in text
    assert "fired 10:05, resolved 10:35 UTC" in text
    assert "delivered late" in text
    assert "⚠ slack:#ml-alerts unreachable since 2024-03-04 10:05 UTC, 2 notices waiting" in body(mailbox.mails[1])
    assert (codes["10:10"], codes["10:25"], codes[end]) == (0, 4, 0)


def body(mail: Any) -> str:
    """The text of a mail."""
    return str(next(mail.iter_parts()).get_content())


def test_the_fallback_is_told_once_an_outage(detmon: Shell) -> None:
    log(detmon.folder, ("10:00", "11:30"))
    file = detmon.folder / "oncall.jsonl"
    (detmon.folder / "detmon.toml").write_text(f'[notify]\nfallback = "file:{file}"\n')
    with running() as slack:
        slack.down = True
        detmon.monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.webhook())
        rule(detmon, "slack:#ml-alerts")
        for time in every_five_minutes("10:05", "10:40"):
            detmon("--now", clock(time), "alert", "check", code=None)
    (told,) = lines(file)
    assert told["kind"] == "delivery_failing"
    assert "slack:#ml-alerts is unreachable" in told["text"]
    assert "service_unavailable" in told["text"]


@pytest.mark.parametrize(
    ("failpoint", "before", "after", "repeat"),
    [pytest.param(*crash, id=f"kill9_{crash[0].replace('.', '_')}") for crash in CRASHES],
)
def test_killed_and_run_again(detmon: Shell, failpoint: str, before: int, after: int, repeat: bool) -> None:
    log(detmon.folder, ("10:00", "10:30"), end="10:30")
    with receiving(Receiver()) as server:
        (detmon.folder / "detmon.toml").write_text(f'[notify.webhook.ops]\nurl = "{server.url}"\n')
        rule(detmon, "webhook:ops")
        killed = detmon.process("--now", clock("10:05"), "alert", "check", env={"DETMON_FAILPOINT": failpoint})
        assert killed.returncode == -9
        assert len(server.requests) == before
        detmon("--now", clock("10:05"), "alert", "check")
    assert len(server.requests) == after
    assert len({request.headers["Idempotency-Key"] for request in server.requests}) == 1
    assert server.requests[-1].json["maybe_repeat"] is repeat


def test_the_crash_rows_of_the_vectors(vectors: Callable[[str], Any]) -> None:
    for row in vectors("alerts.json"):
        if row["kind"] == "crash":
            expected = (row["received_before_rerun"], row["received_after_rerun"], row["last_message_maybe_repeat"])
            assert (row["failpoint"], *expected) in CRASHES
            assert row["distinct_notice_ids"] == 1  # as test_killed_and_run_again demands of all


@pytest.mark.parametrize("case", of_kind("concurrency"))
def test_six_crons_at_once(case: dict[str, Any], detmon: Shell) -> None:
    file = detmon.folder / "told.jsonl"
    log(detmon.folder, ("10:00", "10:30"), end="10:30")
    rule(detmon, f"file:{file}")
    command = detmon.command("--now", clock("10:05"), "alert", "check")
    started = [
        subprocess.Popen(command, cwd=detmon.folder, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(case["processes"])
    ]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in started]
    assert [code for _, _, code in ended] == [0] * case["processes"], ended
    assert len(lines(file)) == case["expected_received"]
    assert sum(b"FIRING" in out for out, _, _ in ended) == 1  # the others have nothing to say
