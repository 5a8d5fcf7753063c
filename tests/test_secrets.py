"""Secrets of every kind are planted, everything goes wrong, and then they are looked for everywhere."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import Result, Shell
from outbox_help import lines
from receivers import Answer, Receiver, Request, receiving
from test_delivery_rows import clock, every_five_minutes, log
from test_email import Mailbox, certificate, smtp_server
from test_plugins import Distributions

from detmon import plugins

PLANTED = {
    "SLACK_BOT_TOKEN": "xoxb-planted-slack-token",
    "SMTP_PASSWORD_FILE": "planted smtp password ä'\"",
    "HMAC_NEW": "planted-hmac-new",
    "HMAC_OLD": "planted-hmac-old",
    "HOOK_AUTHORIZATION": "Bearer planted-authorization",
    "PAGERDUTY_ROUTING_KEY": "0123456789abcdefplantedpagerduty",
    "APPRISE_CHAT": "json://planted-user:planted-pass@127.0.0.1/planted-apprise-path",
    "LEAKY_TOKEN": "planted-leaky-token",
}
MARK = "planted"
LEAKY = """
from detmon.hookspecs import Capabilities, Notifier, hookimpl

class Leaky(Notifier):
    scheme = "leaky"
    capabilities = Capabilities(secrets=("LEAKY_TOKEN",))

    def send(self, target, message, ctx):
        raise RuntimeError("cannot log in with " + ctx.secret("LEAKY_TOKEN").reveal())

@hookimpl
def detmon_register_notifiers(register):
    register("leaky", Leaky)
"""
TARGETS = (
    "slack:#ml-alerts", "email:team@example.com", "webhook:ops", "pagerduty:oncall", "alertmanager:main",
    "apprise:chat", "leaky:x",
)  # fmt: skip


class Parrot(Receiver):
    """Refuses everything, and repeats in its answer all that it was told; of Slack it also knows the form."""

    status = 400

    def answer(self, request: Request) -> Answer:
        said = f"{request.path} {dict(request.headers)} {request.body.decode(errors='replace')}"
        body = json.dumps({"ok": False, "error": said, "message": said, "errors": [said]})
        return self.status, {"X-Said": "x", "Location": f"{self.url}/elsewhere"}, body


class Gossip(Mailbox):
    """A mail server that repeats the password that it refuses."""

    def login(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> Any:
        from aiosmtpd.smtp import AuthResult

        return AuthResult(success=False, handled=False, message=f"535 wrong password {data.password.decode()}")


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def leaky(detmon: Shell) -> Iterator[None]:
    """A plugin that shouts its secret, installed for this process and those that it starts."""
    site = detmon.folder / "site"
    site.mkdir()
    Distributions(site).add("leaky", LEAKY)
    detmon.monkeypatch.syspath_prepend(site)
    detmon.monkeypatch.setenv("PYTHONPATH", str(site))
    plugins._load.cache_clear()
    yield
    plugins._load.cache_clear()


@pytest.fixture
def plant(detmon: Shell, leaky: None, trust: Any) -> Callable[[Receiver, int], None]:
    """Writes the configuration and the environment; addresses carry secrets too."""

    def write(server: Receiver, port: int) -> None:
        file = detmon.folder / "password"
        file.write_text(PLANTED["SMTP_PASSWORD_FILE"])
        old = detmon.folder / "old-secret"
        old.write_text(PLANTED["HMAC_OLD"])
        for name, value in PLANTED.items():
            detmon.monkeypatch.setenv(name, str(file) if name.endswith("_FILE") else value)
        detmon.monkeypatch.setenv("HOOK_URL", f"{server.url}/planted-hook-path?key=planted-hook-query")
        detmon.monkeypatch.setenv("SLACK_API_URL", f"{server.url}/api/")
        detmon.monkeypatch.setenv("DETMON_HEARTBEAT_URL", f"{server.url}/planted-heartbeat-token")
        (detmon.folder / "detmon.toml").write_text(
            f"""[notify]
fallback = "file:{detmon.folder}/oncall.jsonl"
[notify.email]
host = "127.0.0.1"
port = {port}
ca_file = "{trust[0]}"
username = "detmon"
from = "detmon@example.com"
[notify.webhook.ops]
url = "env:HOOK_URL"
secret = ["env:HMAC_NEW", "file:{old}"]
authorization = "env:HOOK_AUTHORIZATION"
[notify.alertmanager.main]
url = "{server.url}"
authorization = "env:HOOK_AUTHORIZATION"
[notify.pagerduty.oncall]
url = "{server.url}"
"""
        )

    return write


@contextmanager
def servers(trust: Any, status: int) -> Iterator[tuple[Parrot, int]]:
    mailbox = Gossip()
    with (
        receiving(Parrot()) as server,
        smtp_server(
            mailbox, require_starttls=True, tls_context=trust[1], authenticator=mailbox.login, auth_required=True
        ) as port,
    ):
        server.status = status
        yield server, port


@pytest.mark.parametrize(
    "status", [400, 503, *(pytest.param(status, marks=pytest.mark.slow) for status in (200, 302, 401, 429))]
)
def test_no_secret_is_found_where_it_should_not_be(
    detmon: Shell, plant: Callable[[Receiver, int], None], trust: Any, status: int
) -> None:
    """Whatever the servers answer: neither in what is printed nor in what is stored or told."""
    with servers(trust, status) as (server, port):
        plant(server, port)
        seen = everything(detmon)
    assert_clean(detmon, seen)


def test_no_secret_is_found_when_nobody_listens(
    detmon: Shell, plant: Callable[[Receiver, int], None], trust: Any
) -> None:
    with servers(trust, 400) as (server, port):
        plant(server, port)
    assert_clean(detmon, everything(detmon))


def everything(detmon: Shell) -> list[Result]:
    """A rule for all targets fires; then all is looked at that looks at it."""
    options = [part for target in TARGETS for part in ("--notify", target)]
    log(detmon.folder, ("10:00", "10:30"), end="10:30")
    detmon.monkeypatch.setattr("detmon.notify.sending.SECOND_TRY_AFTER", 0.01)
    results = [
        detmon(
            *("--now", clock("10:00"), "-v", "alert", "create", "Low", "--model", "m", "--metric", "avg_confidence"),
            *("--operator", "lt", "--threshold", "0.7", "--window", "5m", "--min-samples", "1", *options),
        )
    ]
    results += [
        detmon("--now", clock(time), "-v", "alert", "check", code=None) for time in every_five_minutes("10:05", "10:25")
    ]
    notices = detmon("notify", "list", "--json").json
    looks: list[tuple[object, ...]] = [
        ("config", "show"), ("config", "show", "--json"), ("config", "check"), ("plugins",), ("notify", "list"),
        ("notify", "list", "--json"), ("alert", "list", "--json"), ("alert", "history", "Low", "--json"),
        ("alert", "show", "Low", "--json"), ("status", "--json"), ("notify", "send", "--json"),
        *(("notify", "show", notice["notice_id"], "--json") for notice in notices),
        *(("notify", "test", target) for target in TARGETS),
        *(("notify", "test", target, "--dry-run") for target in TARGETS),
    ]  # fmt: skip
    results += [detmon("--now", clock("10:26"), "-v", *look, code=None) for look in looks]
    debug = detmon.process("--now", clock("10:45"), "-v", "alert", "check", "--json", env={"DETMON_DEBUG": "1"})
    return [*results, Result(debug.returncode, debug.stdout.decode(), debug.stderr.decode())]


def assert_clean(detmon: Shell, results: list[Result]) -> None:
    printed = "\n".join(result.out + result.err for result in results)
    assert "FIRING" in printed
    assert "***" in printed
    for place, text in {"printed": printed, "stored": stored(detmon.folder), "told": told(detmon.folder)}.items():
        found = text.casefold().find(MARK)
        assert found < 0, f"{place}: … {text[max(0, found - 200) : found + 60]!r}"


def stored(folder: Path) -> str:
    """Every text in every table, and the bytes of the store's files."""
    raw = "".join(file.read_bytes().decode("latin-1") for file in folder.glob("detmon.duckdb*") if file.is_file())
    with duckdb.connect(str(folder / "detmon.duckdb"), read_only=True) as con:
        tables = [name for (name,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        assert "outbox" in tables
        return raw + "".join(repr(con.execute(f'SELECT * FROM "{table}"').fetchall()) for table in tables)


def told(folder: Path) -> str:
    """What the fallback was told of the others' failures."""
    found = lines(folder / "oncall.jsonl")
    assert found
    return json.dumps(found, ensure_ascii=False)


def test_no_secret_is_in_the_arguments_of_a_running_process(detmon: Shell) -> None:
    """The process that sends holds its secrets where `ps` does not look."""
    import subprocess

    from slack_server import running
    from test_outages import wait_for_a_post

    log(detmon.folder, ("10:00", "10:30"), end="10:30")
    with running() as slack:
        slack.hold = threading.Event()
        detmon.monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.webhook("planted-hook"))
        detmon("alert", "create", "Low", "--model", "m", "--metric", "avg_confidence", "--operator", "lt",
               "--threshold", "0.7", "--window", "5m", "--min-samples", 1, "--notify", "slack:#x")  # fmt: skip
        command = detmon.command("--now", clock("10:05"), "alert", "check")
        process = subprocess.Popen(command, cwd=detmon.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_for_a_post(slack)
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        slack.hold.set()
        process.communicate(timeout=60)
    assert b"alert" in shown
    assert MARK.encode() not in shown


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/planted-token",
        "http://127.0.0.1:9/planted token",
        "http://127.0.0.1:planted-port/x",
        "http://user:planted-password@127.0.0.1:9/",
        "ftp://127.0.0.1/planted-token",
        "https://no-such-host.invalid/planted-token",
    ],
)
def test_a_heartbeat_that_fails_keeps_its_address(url: str, detmon: Shell) -> None:
    log(detmon.folder, ("10:00", "10:30"), end="10:30")
    detmon.monkeypatch.setenv("DETMON_HEARTBEAT_URL", url)
    run = detmon("--now", clock("10:05"), "-v", "alert", "check")
    assert "heartbeat" in run.err
    assert MARK not in run.err
