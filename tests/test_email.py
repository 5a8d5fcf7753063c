"""E-mail, against a real SMTP server with STARTTLS, AUTH and a certificate of its own."""

from __future__ import annotations

import datetime
import email
import email.policy
import ipaddress
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from conftest import Shell
from outbox_help import NOON, item, later, notice, queue, stored

PASSWORD = "planted-password-77"


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for this machine, and a server's context with it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    today = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain, pkcs8 = serialization.NoEncryption(), serialization.PrivateFormat.PKCS8
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    return pem, context


class Mailbox:
    """Takes mail, or answers what a test tells it to."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipient_answers: list[str] = []
        self.mail_from_answer: str | None = None
        self.hang_up_after_data = False
        self.logins: list[bytes] = []

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if self.mail_from_answer:
            return self.mail_from_answer
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        answer = self.recipient_answers.pop(0) if self.recipient_answers else "250 OK"
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        if self.hang_up_after_data:
            server.transport.abort()
        return "250 OK"

    def login(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append(data.login)
        good = data.password == PASSWORD.encode()
        return AuthResult(success=good, handled=False)  # handled=True would send no answer at all


@contextmanager
def smtp_server(mailbox: Mailbox, **options: Any) -> Iterator[int]:
    """A server on a free port; `port=0` does not work with Controller."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Controller(mailbox, hostname="127.0.0.1", port=port, **options)
    server.start()
    try:
        yield port
    finally:
        server.stop()


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    return certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


Configure = Callable[..., None]


@pytest.fixture
def configure(detmon: Shell) -> Configure:
    """Writes `[notify.email]`; the password is in the environment."""

    def write(port: int, **settings: Any) -> None:
        table = {"host": "127.0.0.1", "port": port, "from": "detmon@example.com"} | settings
        lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        (detmon.folder / "detmon.toml").write_text("[notify.email]\n" + "\n".join(lines) + "\n")

    return write


@pytest.fixture
def secure(
    detmon: Shell, mailbox: Mailbox, configure: Configure, trust: tuple[Path, ssl.SSLContext]
) -> Iterator[Mailbox]:
    """A server that demands STARTTLS and a login, and a configuration that has both."""
    ca, context = trust
    with smtp_server(
        mailbox,
        require_starttls=True,
        tls_context=context,
        authenticator=mailbox.login,
        auth_required=True,
        auth_require_tls=True,
    ) as port:
        configure(port, ca_file=str(ca), username="detmon")
        detmon.monkeypatch.setenv("SMTP_PASSWORD", PASSWORD)
        yield mailbox


@pytest.fixture
def plain(mailbox: Mailbox, configure: Configure) -> Iterator[Mailbox]:
    """A server without TLS."""
    with smtp_server(mailbox) as port:
        configure(port, tls="none")
        yield mailbox


def send(detmon: Shell, code: int | None = 0, minutes: int = 0) -> Any:
    return detmon("--now", later(NOON, minutes=minutes), "notify", "send", code=code)


def row(detmon: Shell) -> dict[str, Any]:
    found: dict[str, Any] = detmon("notify", "list", "--json").json[0]
    return found


# --- mails -------------------------------------------------------------------------------------------------------


def test_a_mail_over_starttls_with_a_login(detmon: Shell, secure: Mailbox) -> None:
    queue(detmon.folder, notice("email:team@example.com", item(alert="Gürtel – zu heiß")))
    send(detmon)
    (mail,) = secure.mails
    assert secure.logins == [b"detmon"]
    assert mail["Subject"] == "[FIRING:1] Gürtel – zu heiß · yolo-prod"
    assert (mail["To"], mail["From"]) == ("team@example.com", "detmon@example.com")
    assert mail.get_content_type() == "multipart/alternative"
    text, page = mail.iter_parts()
    assert text.get_content_type() == "text/plain"
    assert "FIRING  Gürtel – zu heiß" in text.get_content()
    assert "<html>" in page.get_content()
    assert "http" not in page.get_content()  # nothing to fetch
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Detmon-State"] == "firing"
    assert mail["Date"]
    assert mail["List-Id"]


def test_a_resolve_joins_the_thread_of_its_firing(detmon: Shell, secure: Mailbox) -> None:
    queue(detmon.folder, notice("email:team@example.com", item("firing")))
    send(detmon)
    queue(detmon.folder, notice("email:team@example.com", item("resolved"), slot="10:35"))
    send(detmon, minutes=5)
    fired, resolved = secure.mails
    assert resolved["Message-ID"] != fired["Message-ID"]
    assert resolved["In-Reply-To"] == fired["Message-ID"]
    assert resolved["References"] == fired["Message-ID"]
    assert "fired 10:05, resolved 10:35 UTC" in next(resolved.iter_parts()).get_content()


def test_hostile_labels_reach_no_header_and_no_page(detmon: Shell, secure: Mailbox) -> None:
    hostile = "<!channel>&</b>[red]\x1b]0;x\r\nBcc: x"
    queue(detmon.folder, notice("email:team@example.com", item(alert=hostile, labels={"source": hostile * 1000})))
    send(detmon)
    (mail,) = secure.mails
    assert mail["Bcc"] is None
    page = list(mail.iter_parts())[1].get_content()
    assert "</b>" not in page
    assert "\x1b" not in mail.as_string()


def test_a_constant_subject(detmon: Shell, mailbox: Mailbox, configure: Configure) -> None:
    with smtp_server(mailbox) as port:
        configure(port, tls="none", subject_state=False)
        queue(detmon.folder, notice("email:team@example.com"))
        send(detmon)
    assert mailbox.mails[0]["Subject"] == "Low Confidence Alert · yolo-prod"


def test_implicit_tls(
    detmon: Shell, mailbox: Mailbox, configure: Configure, trust: tuple[Path, ssl.SSLContext]
) -> None:
    with smtp_server(mailbox, ssl_context=trust[1]) as port:
        configure(port, tls="implicit", ca_file=str(trust[0]))
        queue(detmon.folder, notice("email:team@example.com"))
        send(detmon)
    assert len(mailbox.mails) == 1


def test_ca_file_is_relative_to_the_configuration(
    detmon: Shell, mailbox: Mailbox, configure: Configure, trust: tuple[Path, ssl.SSLContext]
) -> None:
    with smtp_server(mailbox, ssl_context=trust[1]) as port:
        configure(port, tls="implicit", ca_file="ca.pem")
        settings = detmon.folder / "settings"
        settings.mkdir()
        (detmon.folder / "detmon.toml").rename(settings / "detmon.toml")
        (settings / "ca.pem").write_bytes(trust[0].read_bytes())
        queue(detmon.folder, notice("email:team@example.com"))
        detmon("--config", settings / "detmon.toml", "--now", NOON, "notify", "send")
    assert len(mailbox.mails) == 1


def test_the_server_from_the_environment(detmon: Shell, mailbox: Mailbox) -> None:
    with smtp_server(mailbox) as port:
        environment = {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": port, "SMTP_TLS": "none", "SMTP_FROM": "d@example.com"}
        for name, value in environment.items():
            detmon.monkeypatch.setenv(name, str(value))
        queue(detmon.folder, notice("email:team@example.com"))
        send(detmon)
    assert len(mailbox.mails) == 1


# --- what goes wrong ---------------------------------------------------------------------------------------------


def test_greylisting_is_retried_with_the_same_message_id(detmon: Shell, plain: Mailbox) -> None:
    plain.recipient_answers = ["450 try later"]
    plain.hang_up_after_data = True
    queue(detmon.folder, notice("email:team@example.com"))
    send(detmon)
    assert (row(detmon)["status"], row(detmon)["ambiguous"]) == ("queued", False)
    send(detmon, minutes=2)  # taken, but the connection is lost before the answer
    assert (row(detmon)["status"], row(detmon)["ambiguous"]) == ("queued", True)
    plain.hang_up_after_data = False
    send(detmon, minutes=10)
    first, second = plain.mails
    assert first["Message-ID"] == second["Message-ID"]
    assert "may be a repeat" in next(second.iter_parts()).get_content()


def test_an_unknown_recipient_is_dead(detmon: Shell, plain: Mailbox) -> None:
    plain.recipient_answers = ["550 no such user"]
    queue(detmon.folder, notice("email:team@example.com"), notice("email:other@example.com"))
    failed = send(detmon, code=4)
    assert "550 no such user" in failed.err
    assert len(plain.mails) == 1  # one address' refusal repeats nothing for another
    statuses = {each["target"]: each["status"] for each in detmon("notify", "list", "--json").json}
    assert sorted(statuses.values()) == ["dead", "sent"]


def test_without_starttls_nothing_is_sent(detmon: Shell, mailbox: Mailbox, configure: Configure) -> None:
    with smtp_server(mailbox, authenticator=mailbox.login, auth_require_tls=False) as port:
        configure(port, username="detmon")
        detmon.monkeypatch.setenv("SMTP_PASSWORD", PASSWORD)
        queue(detmon.folder, notice("email:team@example.com"))
        failed = send(detmon, code=4)
    assert "does not offer STARTTLS, nothing was sent" in failed.err
    assert "tls = implicit" in failed.err
    assert (mailbox.mails, mailbox.logins) == ([], [])


def test_no_password_over_clear_text(detmon: Shell, mailbox: Mailbox, configure: Configure) -> None:
    with smtp_server(mailbox, authenticator=mailbox.login, auth_require_tls=False) as port:
        configure(port, tls="none", username="detmon")
        detmon.monkeypatch.setenv("SMTP_PASSWORD", PASSWORD)
        queue(detmon.folder, notice("email:team@example.com"))
        assert "never sent over clear text" in send(detmon).err
    assert (mailbox.mails, mailbox.logins, row(detmon)["status"]) == ([], [], "queued")


def test_a_server_that_wants_tls(
    detmon: Shell, mailbox: Mailbox, configure: Configure, trust: tuple[Path, ssl.SSLContext]
) -> None:
    with smtp_server(mailbox, require_starttls=True, tls_context=trust[1]) as port:
        configure(port, tls="none")
        queue(detmon.folder, notice("email:team@example.com"))
        failed = send(detmon, code=4)
    assert "the server wants TLS" in failed.err
    assert "tls = starttls" in failed.err


def test_a_certificate_that_is_not_trusted(
    detmon: Shell, mailbox: Mailbox, configure: Configure, trust: tuple[Path, ssl.SSLContext]
) -> None:
    with smtp_server(mailbox, require_starttls=True, tls_context=trust[1]) as port:
        configure(port)
        queue(detmon.folder, notice("email:team@example.com"))
        failed = send(detmon, code=4)
    assert "is not trusted" in failed.err
    assert "ca_file" in failed.err
    assert mailbox.mails == []


def test_a_wrong_password_is_shown_nowhere(detmon: Shell, secure: Mailbox) -> None:
    detmon.monkeypatch.setenv("SMTP_PASSWORD", "planted-wrong-password")
    queue(detmon.folder, notice("email:team@example.com"))
    failed = send(detmon, code=4)
    assert "login refused (535)" in failed.err
    assert "planted-wrong" not in failed.err + stored(detmon.folder)
    tested = detmon("notify", "test", "email:team@example.com", "--json", code=2)
    assert "planted-wrong" not in tested.out + tested.err


def test_a_dead_port_is_retried(detmon: Shell, mailbox: Mailbox, configure: Configure) -> None:
    with smtp_server(mailbox) as port:
        pass
    configure(port, tls="none")
    queue(detmon.folder, notice("email:team@example.com"))
    assert "connection refused" in send(detmon).err
    assert row(detmon)["status"] == "queued"


def test_a_server_that_is_not_set(detmon: Shell) -> None:
    queue(detmon.folder, notice("email:team@example.com"))
    assert "SMTP_HOST is not set" in send(detmon).err
    assert row(detmon)["status"] == "queued"
    still = send(detmon, code=4, minutes=6 * 24 * 60)  # e-mail lives for seven days
    assert "SMTP_HOST is not set" in still.err
    assert row(detmon)["status"] == "queued"
    send(detmon, code=4, minutes=8 * 24 * 60)
    assert row(detmon)["status"] == "dead"


def test_trying_it_out(detmon: Shell, secure: Mailbox) -> None:
    tested = detmon("notify", "test", "email:team@example.com", "--kind", "resolved", "--json").json
    assert tested["status"] == "sent"
    assert secure.mails[0]["Subject"].startswith("[TEST RESOLVED:1]")
    shown = detmon("notify", "test", "email:team@example.com", "--dry-run").out
    assert "Subject: [TEST FIRING:1]" in shown
    assert len(secure.mails) == 1


@pytest.mark.parametrize(
    "address",
    [
        "",
        "team",
        "a@b@c.de",
        "a@b.c,d@e.f",
        "Team <a@b.c>",
        "a b@c.de",
        "a@b.c\r\nBcc: x@y.z",
        "a@-b.c",
        "a@b..c",
        "@b.c",
    ],
)
def test_addresses_that_are_refused(detmon: Shell, address: str) -> None:
    assert "is not one e-mail address" in detmon("notify", "test", f"email:{address}", code=2).err


def test_an_international_domain_is_written_in_ascii(detmon: Shell) -> None:
    shown = detmon("notify", "test", "email:team@müller.example", "--dry-run").out
    assert "To: team@xn--mller-kva.example" in shown


# --- sendmail ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "status"), [(0, "sent"), (75, "queued"), (64, "dead")])
def test_sendmail(detmon: Shell, code: int, status: str) -> None:
    program = detmon.folder / "sendmail"
    program.write_text(f'#!/bin/sh\necho "$@" > arguments\ncat > mail\necho trouble >&2\nexit {code}\n')
    program.chmod(0o755)
    (detmon.folder / "detmon.toml").write_text(f'[notify.sendmail]\npath = "{program}"\nfrom = "detmon@example.com"\n')
    queue(detmon.folder, notice("sendmail:team@example.com"))
    send(detmon, code=4 if status == "dead" else 0)
    assert row(detmon)["status"] == status
    assert (detmon.folder / "arguments").read_text() == "-i -- team@example.com\n"
    mail = email.message_from_bytes((detmon.folder / "mail").read_bytes(), policy=email.policy.default)
    assert mail["Subject"].startswith("[FIRING:1]")
    if status != "sent":
        assert row(detmon)["last_error"] == "trouble"


def test_sendmail_that_is_not_there(detmon: Shell) -> None:
    (detmon.folder / "detmon.toml").write_text('[notify.sendmail]\npath = "./absent/sendmail"\n')
    queue(detmon.folder, notice("sendmail:team@example.com"))
    assert "cannot run ./absent/sendmail" in send(detmon).err
    assert (row(detmon)["status"], row(detmon)["attempts"]) == ("queued", 0)
