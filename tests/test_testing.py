"""The contract for plugin authors: detmon's own notifiers and the guide's keep it, bad ones do not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Shell
from outbox_help import NOON, notice, queue
from slack_server import SlackServer, running
from test_plugins import Distributions

from detmon.hookspecs import Message, Notifier, Outcome, Permanent, Retry, SendContext, Sent, Target
from detmon.testing import Answer, notifier_contract

GUIDE = (ROOT / "docs" / "plugins.md").read_text("utf-8")


def guide_plugin() -> str:
    found = re.search(r"^```python\n(.*?)^```$", GUIDE, re.M | re.S)
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


def test_the_guides_plugin_keeps_it() -> None:
    names: dict[str, Any] = {}
    exec(guide_plugin(), names)
    notifier_contract(names["Ntfy"], rest="my-topic")


def test_the_guides_plugin_delivers(detmon: Shell) -> None:
    folder = detmon.folder / "site"
    folder.mkdir()
    Distributions(folder).add("detmon-ntfy", guide_plugin())
    with running(_Anything) as server:
        (detmon.folder / "detmon.toml").write_text(f'[notify.ntfy]\nserver = "{server.url}"\n')
        queue(detmon.folder, notice("ntfy:my-topic"))
        done = detmon.process("--now", NOON, "notify", "send", "--json", env={"PYTHONPATH": str(folder)})
    assert done.returncode == 0, done.stderr
    assert [post["path"] for post in server.posts] == ["/my-topic"]


class _Anything(SlackServer):
    def __init__(self) -> None:
        super().__init__()
        self.answers.append((200, {}, "{}"))


class _Careless(Notifier):
    """Breaks one rule after the other."""

    scheme = "careless"
    fault = ""

    def parse(self, rest: str) -> Target:
        return Target(self.scheme, rest + "/" if self.fault == "moving" else rest, rest)

    def send(self, target: Target, message: Message, ctx: SendContext) -> Outcome:
        answer = ctx.http.post("https://example.com/")
        if self.fault == "nothing":
            return None  # type: ignore[return-value]
        if self.fault == "trusting" or answer.status_code == 200:
            return Sent({"blob": "x" * 3000} if self.fault == "big" else {})
        if answer.status_code == 429 and self.fault != "hasty":
            return Retry("slow", after=7.0)
        return Permanent("gone") if answer.status_code < 429 or self.fault == "final" else Retry("later")


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
    ],
)
def test_what_breaks_it(fault: str, sentence: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Careless, "fault", fault)
    if sentence is None:
        notifier_contract(_Careless, rest="x")
        return
    with pytest.raises(AssertionError, match=sentence):
        notifier_contract(_Careless, rest="x")


def test_a_missing_secret_must_be_said() -> None:
    with pytest.raises(AssertionError, match="MissingSetting"):
        notifier_contract(_Careless, rest="x", secrets=("CARELESS_TOKEN",))
