"""Names, labels and texts of strangers reach every channel, table and report as text, never as an order."""

from __future__ import annotations

import json
import re
import unicodedata
from html.parser import HTMLParser
from typing import Any

import pytest
from conftest import Shell
from outbox_help import lines
from receivers import PagerDuty, Receiver, receiving
from slack_server import running
from stored import Row, at, store, text
from test_email import Mailbox, smtp_server

HOSTILE = {
    "markup": "<!channel> <@U1> *bold* [red]x[/red] <b>&amp;</b>",
    "script": "</script><script>alert(1)</script><img src=x onerror=alert(1)>",
    "header": "x\r\nBcc: everybody@example.com\r\n\r\n<html>",
    "escape": "\x1b]0;title\x07\x1b[2J\x9b31m\0\b",
    "direction": "\u202eevil\u2066\u200b\u200d\ufeff\u061c\u2028\u2029",
    "long": "x" * 10_000,
    "table": "a|b\n|---|---|\n`c` ](javascript:alert(1))",
}
"""What strangers may write into a log."""
PERIODS = ("--reference-period", "2024-02-14..2024-02-26", "--current-period", "2024-02-27..2024-03-03")


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_texts_of_strangers_reach_every_channel_as_text(hostile: str, detmon: Shell) -> None:
    mailbox, file = Mailbox(), detmon.folder / "told.jsonl"
    rows = [
        Row(at(-n * 10), model=f"m {hostile}"[:300], source=f"cam {hostile}", tags=[("site", hostile)],
            boxes=[(f"car {hostile}", 0.3)])
        for n in range(1, 60)
    ]  # fmt: skip
    store(detmon.folder, rows)
    with (
        running() as slack,
        smtp_server(mailbox) as port,
        receiving(Receiver()) as hook,
        receiving(Receiver()) as alertmanager,
        receiving(PagerDuty()) as pagerduty,
    ):
        detmon.monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.webhook())
        detmon.monkeypatch.setenv("PAGERDUTY_ROUTING_KEY", pagerduty.routing_key)
        (detmon.folder / "detmon.toml").write_text(
            f'[notify.email]\nhost = "127.0.0.1"\nport = {port}\ntls = "none"\nfrom = "detmon@example.com"\n'
            f'[notify.webhook.ops]\nurl = "{hook.url}"\n[notify.alertmanager.main]\nurl = "{alertmanager.url}"\n'
            f'[notify.pagerduty.oncall]\nurl = "{pagerduty.url}"\n'
        )
        from detmon import Client

        targets = ["slack:#x", "email:a@example.com", "webhook:ops", "alertmanager:main", "pagerduty:oncall",
                   f"file:{file}", "stdout:"]  # fmt: skip
        Client(now=text(0)).create_alert(
            f"m {hostile}"[:300],
            f"rule {hostile}",
            {"metric": "avg_confidence", "operator": "lt", "threshold": 0.7, "window": "1h", "min_samples": 1,
             "by": ["source", "label", "tag:site"], "labels": {"team": hostile}, "description": hostile},
            notify=targets,
        )  # fmt: skip
        run = detmon("--now", text(0), "alert", "check")
        assert json.loads(detmon("notify", "list", "--status", "sent", "--json").out)
        assert {row["status"] for row in detmon("notify", "list", "--json").json} == {"sent"}, run.err

        [shown] = slack.shown
        is_harmless_slack(shown)
        [mail] = mailbox.mails
        is_harmless_mail(mail)
        [told] = lines(file)
        is_plain(told["text"])
        assert max(len(said) for said in (told["text"], *texts_of(shown["blocks"]))) <= 10_000
        [posted] = [request.json for request in hook.requests]
        is_plain(posted["text"])
        [[alert]] = [request.json for request in alertmanager.requests]
        assert alert["labels"]["alertname"].startswith("rule")
        [event] = [request.json for request in pagerduty.requests]
        is_plain(event["payload"]["summary"])
        is_plain(run.out)
        is_plain(run.err)


def is_plain(said: str) -> None:
    """No character that a terminal or a reader's eye obeys, but for line ends."""
    wrong = {char for char in said if char != "\n" and unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp")}
    assert not wrong, [unicodedata.name(char, hex(ord(char))) for char in wrong]


def is_harmless_slack(shown: dict[str, Any]) -> None:
    texts = [shown["text"], *texts_of(shown["blocks"])]
    assert not [said for said in texts if re.search(r"<[!@#]", said)]
    for said in texts:
        is_plain(said)


def texts_of(value: Any) -> list[str]:
    """Every text in blocks."""
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [said for part in parts for said in texts_of(part)]


def is_harmless_mail(mail: Any) -> None:
    assert set(mail.keys()) <= {
        "Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress", "List-Id",
        "X-Detmon-State", "MIME-Version", "Content-Type", "In-Reply-To", "References", "X-Peer", "X-MailFrom",
        "X-RcptTo",
    }  # fmt: skip
    plain, page = (part.get_content() for part in mail.iter_parts())
    is_plain(str(mail["Subject"]))
    is_plain(plain.replace("\r\n", "\n"))
    is_harmless_page(page)


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def is_harmless_page(page: str) -> None:
    found = Tags()
    found.feed(page)
    assert not found.tags & {"script", "img", "iframe", "b", "form", "object", "link"}
    assert not {name for name in found.attributes if name.startswith("on") or name in ("src", "srcdoc")}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_texts_of_strangers_stay_text_in_tables_and_reports(hostile: str, detmon: Shell) -> None:
    model = f"m {hostile}"[:300]
    store(detmon.folder, [
        Row(at(-n * 600), model=model, source=f"cam {hostile}", boxes=[(f"car {hostile}", 0.3), ("bus", 0.8)])
        for n in range(1, 144 * 20)
    ])  # fmt: skip
    from detmon import Client

    condition = {"metric": "avg_confidence", "operator": "lt", "threshold": 0.7, "window": "1h", "min_samples": 1}
    Client(now=text(0)).create_alert(model, f"rule {hostile}", {**condition, "by": ["source"], "description": hostile})
    for words in (
        ("alert", "check", "--dry-run"), ("alert", "check"), ("alert", "list"), ("alert", "show", f"rule {hostile}"),
        ("alert", "history", f"rule {hostile}"), ("alert", "silence", "add", f"source=cam {hostile}", "--for", "1h"),
        ("alert", "silence", "list"), ("alert", "ack", f"rule {hostile}", "--comment", hostile), ("status",),
        ("model", "list"), ("metric", "show", "avg_confidence", model, "--by", "source"),
        ("alert", "backtest", f"rule {hostile}"), ("sql", "SELECT DISTINCT source FROM predictions"),
        ("drift", "check", *PERIODS),
    ):  # fmt: skip
        if "\0" in hostile and any("\0" in word for word in words):
            continue  # no process can be called with such an argument
        run = detmon("--now", text(0), *words, code=None)
        is_plain(run.out)
        is_plain(run.err)
    for form in ("markdown", "html"):
        run = detmon("--now", text(0), "drift", "check", *PERIODS, "--format", form, code=None)
        is_plain(run.out)
        if form == "html":
            is_harmless_page(run.out)
