"""The contract for plugin authors: detmon's own notifiers and the guide's keep it, bad ones do not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Shell
from receivers import Receiver, receiving
from test_delivery_rows import clock, log
from test_email import Mailbox, smtp_server

from detmon.hookspecs import (
    Message,
    Notifier,
    NotifierConfig,
    Outcome,
    Permanent,
    Retry,
    Secret,
    SendContext,
    Sent,
    Target,
)
from detmon.testing import Answer, notifier_contract

GUIDE = (ROOT / "docs" / "plugins.md").read_text("utf-8")


def guide(language: str) -> str:
    """The guide's first block of a language."""
    found = re.search(rf"^```{language}\n(.*?)^```$", GUIDE, re.M | re.S)
    assert found is not None
    return found[1]


def test_slack_keeps_it() -> None:
    from detmon_slack import Slack

    notifier_contract(Slack, rest="#ml-alerts", table={"webhook": "x"}, secrets=("webhook",))
    answer = Answer(200, '{"ok": true, "channel": "C0ML", "ts": "1.2"}')
    notifier_contract(Slack, rest="C0ML", secrets=("SLACK_BOT_TOKEN",), success=answer)


def test_the_console_keeps_it(tmp_path: Path) -> None:
    from detmon_console import JsonLines, Terminal

    notifier_contract(Terminal, rest="json")
    notifier_contract(JsonLines, rest=str(tmp_path / "told.jsonl"))


def test_named_targets_keep_it() -> None:
    from detmon_alertmanager import Alertmanager
    from detmon_pagerduty import PagerDuty
    from detmon_webhook import Webhook

    url = "https://example.com/in"
    for more in ({}, {"format": "alertmanager"}):
        table = {"ops": {"url": url, "secret": ["env:ONE", "env:TWO"], **more}}
        notifier_contract(Webhook, rest="ops", table=table, secrets=("env:ONE", "env:TWO"))
    notifier_contract(Alertmanager, rest="main", table={"main": {"url": url}})
    notifier_contract(PagerDuty, rest="oncall", secrets=("PAGERDUTY_ROUTING_KEY",), success=Answer(202, "{}"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of modules that Apprise imports
def test_apprise_keeps_it() -> None:
    pytest.importorskip("apprise", reason="the extra detmon[apprise] is not installed")
    from detmon_apprise import Apprise

    with receiving(Receiver()) as server:
        address = Secret(server.url.replace("http:", "json:"))  # all of it is the secret

        def factory(config: NotifierConfig) -> Apprise:
            return Apprise(replace(config, secret=lambda name: address))

        notifier_contract(factory, rest="ops")


def test_mail_keeps_it(tmp_path: Path) -> None:
    from detmon_email import Email, Sendmail

    mailbox = Mailbox()
    with smtp_server(mailbox) as port:
        table = {"host": "127.0.0.1", "port": port, "tls": "none", "from": "detmon@example.com"}
        notifier_contract(Email, rest="team@example.com", table=table)
    assert all("Bcc" not in mail for mail in mailbox.mails)
    program = tmp_path / "sendmail"
    program.write_text("#!/bin/sh\ncat > /dev/null\n")
    program.chmod(0o755)
    notifier_contract(Sendmail, rest="team@example.com", table={"path": str(program)})


def test_the_guides_plugin_keeps_it() -> None:
    names: dict[str, Any] = {}
    exec(guide("python"), names)
    notifier_contract(names["Ntfy"], rest="my-topic")


@pytest.mark.skipif(find_spec("flit_core") is None, reason="flit_core is not installed")
def test_the_guides_package_is_installed_and_delivers(detmon: Shell) -> None:
    package, site = detmon.folder / "package", detmon.folder / "site"
    package.mkdir()
    (package / "detmon_ntfy.py").write_text(guide("python"))
    (package / "pyproject.toml").write_text(guide("toml"))
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "-q"]
    subprocess.run([*install, "--target", site, package], check=True, capture_output=True, timeout=60)
    log(detmon.folder, ("10:00", "10:30"), end="10:10")
    with receiving(Receiver()) as server:
        (detmon.folder / "detmon.toml").write_text(f'[notify.ntfy]\nserver = "{server.url}"\n')
        detmon.monkeypatch.setenv("PYTHONPATH", str(site))
        rows = json.loads(detmon.process("plugins", "--json").stdout)
        found = [(row["distribution"], row["version"]) for row in rows if "ntfy" in row["schemes"]]
        assert found == [("detmon-ntfy", "1.0")]
        made = detmon.process(
            "--now", clock("10:00"), "alert", "create", "Low", "--model", "m", "--metric", "avg_confidence",
            "--operator", "lt", "--threshold", "0.7", "--window", "5m", "--min-samples", "1",
            "--notify", "ntfy:my-topic",
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        checked = detmon.process("--now", clock("10:05"), "alert", "check")
        assert checked.returncode == 0, checked.stderr
    ((path, text),) = [(request.path, request.body.decode()) for request in server.requests]
    assert path == "/my-topic"
    assert text.startswith("FIRING  Low · m")


class _Careless(Notifier):
    """Breaks one rule after the other."""

    scheme = "careless"
    fault = ""

    def parse(self, rest: str) -> Target:
        return Target(self.scheme, rest + "/" if self.fault == "moving" else rest, rest)

    def send(self, target: Target, message: Message, ctx: SendContext) -> Outcome:
        headers = {"X-Text": message.text} if self.fault == "talkative" else {}
        answer = ctx.http.post("https://example.com/", headers=headers)
        if self.fault == "nothing":
            return None  # type: ignore[return-value]
        if self.fault == "trusting" or answer.status_code == 200:
            blob = {"big": "x" * 3000, "random": uuid.uuid4().hex}.get(self.fault)
            return Sent({"blob": blob} if blob else {})
        if answer.status_code == 429 and self.fault != "hasty":
            return Retry("slow", after=7.0)
        return Permanent("gone") if answer.status_code < 429 or self.fault == "final" else Retry("later")

    def preview(self, target: Target, message: Message, ctx: SendContext) -> str:
        assert self.config is not None
        secret = self.config.secret("CARELESS_TOKEN")
        return secret.reveal() if secret and self.fault == "leaky" else message.text


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("", None),
        ("moving", "read back"),
        ("nothing", "must return an outcome"),
        ("big", "at most 2 kB"),
        ("trusting", "429 must be a Retry"),
        ("hasty", "must wait for Retry-After"),
        ("final", "500 must be a Retry"),
        ("talkative", "one line of printable characters"),
        ("random", "the same receipt"),
        ("leaky", "preview must show no secret"),
    ],
)
def test_what_breaks_it(fault: str, sentence: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Careless, "fault", fault)
    if sentence is None:
        notifier_contract(_Careless, rest="x")
        return
    with pytest.raises(AssertionError, match=sentence):
        notifier_contract(_Careless, rest="x", secrets=("CARELESS_TOKEN",) if fault == "leaky" else ())


def test_a_missing_secret_must_be_said() -> None:
    with pytest.raises(AssertionError, match="MissingSetting"):
        notifier_contract(_Careless, rest="x", secrets=("CARELESS_TOKEN",))
