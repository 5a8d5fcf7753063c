"""The real things, where they are installed: Prometheus' Alertmanager (amtool is the judge) and Postfix."""

from __future__ import annotations

import email
import email.policy
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import stored
from conftest import Shell
from outbox_help import notice, queue
from test_email import certificate

from detmon.times import floor_slot, format_instant

pytestmark = pytest.mark.slow
MINUTE = timedelta(minutes=1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(true: Callable[[], Any], within: float = 20.0) -> Any:
    """What `true` returns once it is true; fails when that takes too long."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        with suppress(OSError):
            if found := true():
                return found
        time.sleep(0.1)
    raise AssertionError(f"not within {within:g} s")


# --- alertmanager ------------------------------------------------------------------------------------------------


@dataclass
class Alertmanager:
    """A running one."""

    url: str

    def alerts(self, name: str) -> list[dict[str, Any]]:
        """What amtool shows of the alerts with a name: those that have not ended."""
        command = ["amtool", f"--alertmanager.url={self.url}", "alert", "query", "-o", "json", f"alertname={name}"]
        found: list[dict[str, Any]] = json.loads(
            subprocess.run(command, check=True, capture_output=True).stdout or "[]"
        )
        return found


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None or shutil.which("amtool") is None:
        pytest.skip("Alertmanager and amtool are not installed")
    config = tmp_path / "alertmanager.yml"
    config.write_text("route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n")
    url = f"http://127.0.0.1:{free_port()}"
    options = [f"--config.file={config}", f"--storage.path={tmp_path / 'data'}", "--cluster.listen-address="]
    process = subprocess.Popen(
        [program, *options, f"--web.listen-address={url.removeprefix('http://')}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: urllib.request.urlopen(f"{url}/-/ready").status == 200)
        yield Alertmanager(url)
    finally:
        process.terminate()
        process.wait(10)


def test_an_alert_fires_is_upheld_resolves_and_dies_with_detmon(detmon: Shell, alertmanager: Alertmanager) -> None:
    """Both rules see the same bad minutes; the second one's check ran a quarter of an hour ago, and never again."""
    first = floor_slot(datetime.now(UTC).replace(tzinfo=None), MINUTE) - 3 * MINUTE
    (detmon.folder / "detmon.toml").write_text(f'[notify.alertmanager.main]\nurl = "{alertmanager.url}"\n')
    rows = [
        stored.Row(first + timedelta(seconds=second), model, "cam-1", boxes=[("car", 0.3 if second < 60 else 0.9)])
        for model in ("m", "n")
        for second in range(-1800, 180, 10)
    ]
    stored.store(detmon.folder, rows)
    for name, model in (("Low", "m"), ("Dead", "n")):
        detmon(
            "--now", format_instant(first - 20 * MINUTE), "alert", "create", name, "--model", model, "--metric",
            "avg_confidence", "--operator", "lt", "--threshold", "0.7", "--window", "1m", "--every", "1m",
            "--min-samples", "1", "--by", "source", "--label", "team=vision", "--notify", "alertmanager:main",
        )  # fmt: skip

    def check(name: str, at: datetime) -> None:
        detmon("--now", format_instant(at), "alert", "check", name)

    check("Low", first)
    (fired,) = until(lambda: alertmanager.alerts("Low"))
    assert fired["labels"] == {
        "alertname": "Low", "model_id": "m", "severity": "warning", "source": "cam-1", "team": "vision",
    }  # fmt: skip
    check("Low", first + MINUTE)
    (upheld,) = alertmanager.alerts("Low")
    assert (upheld["fingerprint"], upheld["startsAt"]) == (fired["fingerprint"], fired["startsAt"])
    assert upheld["endsAt"] > fired["endsAt"]
    check("Low", first + 2 * MINUTE)
    assert alertmanager.alerts("Low") == []

    check("Dead", datetime.now(UTC).replace(tzinfo=None) - 15 * MINUTE + timedelta(seconds=8))
    assert len(alertmanager.alerts("Dead")) == 1
    until(lambda: not alertmanager.alerts("Dead"), within=30)


def test_alertmanager_is_asked_and_takes_a_test(detmon: Shell, alertmanager: Alertmanager) -> None:
    (detmon.folder / "detmon.toml").write_text(f'[notify.alertmanager.main]\nurl = "{alertmanager.url}"\n')
    detmon("notify", "test", "alertmanager:main")
    (alert,) = alertmanager.alerts("Test Alert")
    assert alert["annotations"]["summary"].startswith("TEST: Test Alert: avg_confidence 0.642, threshold < 0.7")
    detmon("notify", "test", "alertmanager:main", "--kind", "resolved")
    assert alertmanager.alerts("Test Alert") == []


# --- postfix -----------------------------------------------------------------------------------------------------


@dataclass
class Postfix:
    """A running one with its own configuration, queue and mailboxes."""

    etc: Path
    port: int
    mailbox: Path
    certificate: Path

    def mails(self) -> list[Any]:
        """What has arrived."""
        return [
            email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            for file in sorted(self.mailbox.glob("new/*"), key=lambda file: file.stat().st_mtime_ns)
        ]


@pytest.fixture
def postfix() -> Iterator[Postfix]:
    if shutil.which("postfix") is None or os.geteuid() != 0:
        pytest.skip("Postfix is not installed, or this is not root")
    folder = Path(tempfile.mkdtemp(prefix="detmon-postfix-"))
    folder.chmod(0o755)  # Postfix' own user must get in
    for name in ("queue", "data", "mail"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", "postfix")
    (folder / "mail").chmod(0o777)
    etc, port = folder / "etc", free_port()
    shutil.copytree("/etc/postfix", etc)
    pem, _ = certificate(folder)
    settings = {
        "compatibility_level": "3.6", "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4",
        "myhostname": "localhost", "mydestination": "localhost", "mynetworks": "127.0.0.0/8",
        "queue_directory": folder / "queue", "data_directory": folder / "data", "mail_owner": "postfix",
        "mail_spool_directory": f"{folder / 'mail'}/", "local_recipient_maps": "", "luser_relay": "root@localhost",
        "alias_maps": "", "alias_database": "", "smtpd_tls_security_level": "may", "smtpd_tls_cert_file": pem,
        "smtpd_tls_received_header": "yes",
        "smtpd_tls_key_file": folder / "key.pem", "maillog_file": "/dev/stdout", "maillog_file_prefixes": "/dev",
    }  # fmt: skip
    (etc / "main.cf").write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
    master = (etc / "master.cf").read_text()
    (etc / "master.cf").write_text(master.replace("smtp      inet", f"127.0.0.1:{port} inet", 1))
    process = subprocess.Popen(["postfix", "-c", etc, "start-fg"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: socket.create_connection(("127.0.0.1", port), timeout=1).close() is None)
        yield Postfix(etc, port, folder / "mail" / "root", pem)
    finally:
        subprocess.run(["postfix", "-c", etc, "stop"], capture_output=True, timeout=60)
        process.wait(30)
        shutil.rmtree(folder)


def test_postfix_takes_mail_by_smtp_and_by_sendmail(detmon: Shell, postfix: Postfix) -> None:
    (detmon.folder / "detmon.toml").write_text(
        f'[notify.email]\nhost = "127.0.0.1"\nport = {postfix.port}\nfrom = "detmon@localhost"\n'
        f'ca_file = "{postfix.certificate}"\n[notify.sendmail]\nfrom = "detmon@localhost"\n'
    )
    detmon.monkeypatch.setenv("MAIL_CONFIG", str(postfix.etc))
    queue(detmon.folder, notice("email:team@localhost"), notice("sendmail:team@localhost"))
    assert detmon("--now", "2026-11-20T12:00:00Z", "notify", "send", "--json").json["sent"] == 2
    mails = until(lambda: postfix.mails() if len(postfix.mails()) == 2 else [])
    for mail in mails:
        assert mail["Subject"] == "[FIRING:1] Low Confidence Alert · yolo-prod"
        assert mail["X-Detmon-State"] == "firing"
        assert "threshold < 0.7" in mail.get_body(("plain",)).get_content()
    assert any("TLS" in str(mail["Received"]) for mail in mails)  # the one that came by SMTP
    assert len({mail["Message-ID"] for mail in mails}) == 2
