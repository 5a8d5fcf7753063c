"""Every behavioural case of the test vectors is run by some test; the delivery cases, through `alert check`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import ROOT, Shell
from outbox_help import later
from slack_server import TOKEN, running
from stored import Row, at, store, text
from test_alert_vectors import CASES
from test_email import PASSWORD, Mailbox, smtp_server

TARGETS = {"slack": "slack:#ml-alerts", "email": "email:team@example.com"}


@dataclass(frozen=True)
class Expected:
    """What a delivery case comes to: `status` after the first check, and `finally_` after the one that tries again.

    `tries`: requests or mails that the server saw in each of the two. `said`: words on stderr of the first.
    """

    status: str
    tries: int
    code: int = 0
    ambiguous: bool = False
    said: str = ""
    finally_: tuple[str, int] | None = None
    """Status and tries of the second check; None: there is nothing left to try."""
    attempts: int = 1
    waits_s: float = 0.0


EXPECTED = {
    "slack_429_retry_after": Expected("queued", 1, finally_=("sent", 1), waits_s=30),
    "slack_429_blocks_the_whole_channel": Expected("queued", 1, finally_=("sent", 1), waits_s=30),
    "webhook_400_invalid_payload": Expected("sent", 2),
    "webhook_404_channel_not_found": Expected("dead", 1, code=4, said="check the channel's name"),
    "webhook_500_rollup_error": Expected("sent", 2),
    "postmessage_ok_false_ratelimited": Expected("queued", 1, finally_=("sent", 1)),
    "postmessage_ok_false_internal_error": Expected("queued", 1, ambiguous=True, finally_=("sent", 1)),
    "postmessage_ok_false_not_in_channel": Expected("dead", 1, code=4, said="/invite @bot"),
    "postmessage_ok_false_msg_blocks_too_long": Expected("sent", 2),
    "smtp_550": Expected("dead", 1, code=4, said="550 no such user"),
    "smtp_450": Expected("queued", 1, finally_=("sent", 1)),
    "starttls_missing": Expected("dead", 0, code=4, said="does not offer STARTTLS"),
}
"""The delivery cases but for the outage, which has a test of its own (test_delivery_rows.py)."""


def of_delivery() -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in CASES if case["kind"] == "delivery" and "responses" in case]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detmon.notify.sending.SECOND_TRY_AFTER", 0.01)


@pytest.mark.parametrize("case", of_delivery())
def test_delivery_through_a_check(case: dict[str, Any], detmon: Shell) -> None:
    expected, target = EXPECTED[case["name"]], TARGETS[case["target"]]
    count = case.get("queued", 1)
    store(detmon.folder, [Row(at(-60 * n), latency=90.0) for n in range(1, 60)])
    for number in range(count):
        detmon(
            *("alert", "create", f"rule {number}", "--model", "m", "--metric", "avg_latency_ms", "--operator", "gt"),
            *("--threshold", 50, "--window", "1h", "--min-samples", 1, "--notify", target),
        )
    with SERVERS[case["target"]](case, detmon) as tries:
        begun = time.monotonic()
        run = detmon("--now", text(0), "alert", "check", code=expected.code)
        assert time.monotonic() - begun < 10  # a Retry-After is never slept out
        assert expected.said in run.err
        rows = detmon("notify", "list", "--json").json
        assert {(row["status"], row["ambiguous"]) for row in rows} == {(expected.status, expected.ambiguous)}
        assert (tries(), sum(row["attempts"] for row in rows)) == (expected.tries, expected.attempts)
        if expected.finally_ is None:
            return
        tried = max(rows, key=lambda row: row["attempts"])
        assert tried["not_before"] >= later(text(0), seconds=expected.waits_s)
        detmon("--now", text(15), "alert", "check")
        assert tries() == expected.tries  # too early
        detmon("--now", tried["not_before"], "alert", "check")
        status, again = expected.finally_
        rows = detmon("notify", "list", "--json").json
        assert {row["status"] for row in rows} == {status}
        assert tries() == expected.tries + again * count


@contextmanager
def slack_with(case: dict[str, Any], detmon: Shell) -> Iterator[Callable[[], int]]:
    """The server that answers so, in the environment; counts the requests."""
    with running() as server:
        server.rate_limit = 0.0
        if case["name"].startswith("postmessage"):
            detmon.monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
            detmon.monkeypatch.setenv("SLACK_API_URL", server.api)
        else:
            detmon.monkeypatch.setenv("SLACK_WEBHOOK_URL", server.webhook())
        detmon.monkeypatch.setattr("detmon_slack.Slack.capabilities", _unhurried())
        server.answers.extend((status, headers, body) for status, headers, body in case["responses"])
        yield lambda: len(server.posts)


def _unhurried() -> Any:
    from dataclasses import replace

    import detmon_slack

    return replace(detmon_slack.Slack.capabilities, rate_per_s=1000.0)


class Postbox(Mailbox):
    """Counts what it was asked to take."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def handle_RCPT(self, *args: Any) -> str:
        self.asked += 1
        return await super().handle_RCPT(*args)


@contextmanager
def smtp_with(case: dict[str, Any], detmon: Shell) -> Iterator[Callable[[], int]]:
    """The mail server that answers so, in the configuration; counts the recipients that it was asked to take."""
    box = Postbox()
    secure = case["name"] == "starttls_missing"
    box.recipient_answers = [] if secure else list(case["responses"])
    with smtp_server(box, authenticator=box.login, auth_require_tls=False) as port:
        table = f'[notify.email]\nhost = "127.0.0.1"\nport = {port}\nfrom = "detmon@example.com"\n'
        (detmon.folder / "detmon.toml").write_text(table + ('username = "detmon"\n' if secure else 'tls = "none"\n'))
        if secure:
            detmon.monkeypatch.setenv("SMTP_PASSWORD", PASSWORD)
        yield lambda: box.asked
    assert box.logins == []  # never a password over clear text
    assert len({mail["Message-ID"] for mail in box.mails}) == len(box.mails)


SERVERS: dict[str, Callable[..., Any]] = {"slack": slack_with, "email": smtp_with}


def test_every_row_of_the_file_is_run(vectors: Callable[[str], Any]) -> None:
    """Each case is the id of a test of the default run."""
    files = [str(file) for file in (ROOT / "tests").glob("test_*.py") if "of_kind" in file.read_text("utf-8")]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *files]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [row["name"] for row in vectors("alerts.json") if f"[{row['name']}]" not in found] == []
