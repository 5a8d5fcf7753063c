"""Handing a letter to an SMTP server; every answer becomes one plain line and the right decision."""

from __future__ import annotations

import smtplib
import socket
import ssl
import time
from contextlib import suppress
from email.message import EmailMessage
from typing import Any

from detmon.hookspecs import Outcome, Permanent, Retry, Sent
from detmon_email.settings import Server

LONGEST_WAIT = 10.0


class _NoStartTls(Exception):
    """The server does not offer STARTTLS."""


class _Connection(smtplib.SMTP):
    """Remembers whether a letter was begun: from then on a lost connection leaves its fate unknown."""

    data_begun = False

    def data(self, msg: Any) -> tuple[int, bytes]:
        self.data_begun = True
        return super().data(msg)


class _ImplicitTls(smtplib.SMTP_SSL):
    data_begun = False

    def data(self, msg: Any) -> tuple[int, bytes]:
        self.data_begun = True
        return super().data(msg)


def greet(server: Server, deadline: float) -> Outcome:
    """Connect, secure the connection and log in; send nothing."""
    return _session(server, None, "", deadline)


def transmit(server: Server, letter: EmailMessage, address: str, deadline: float) -> Outcome:
    """Hand one letter over. `deadline` is a `time.monotonic()` value."""
    return _session(server, letter, address, deadline)


def _session(server: Server, letter: EmailMessage | None, address: str, deadline: float) -> Outcome:
    smtp: _Connection | _ImplicitTls | None = None
    try:
        context = ssl.create_default_context(cafile=server.ca_file)
        wait = max(1.0, min(LONGEST_WAIT, deadline - time.monotonic()))
        if server.tls == "implicit":
            smtp = _ImplicitTls(server.host, server.port, timeout=wait, context=context)
        else:
            smtp = _Connection(server.host, server.port, timeout=wait)
        smtp.ehlo_or_helo_if_needed()
        if server.tls == "starttls":
            _secure(smtp, context)
        if server.username and server.password:
            smtp.login(server.username, server.password.reveal())
        if letter is None:
            return Sent()
        refused = smtp.send_message(letter, from_addr=_bare(server.sender), to_addrs=[address])
        return _refusal(refused) if refused else Sent()
    except (OSError, _NoStartTls) as error:  # smtplib's errors are OSErrors
        return _outcome(error, server, begun=smtp is not None and smtp.data_begun)
    finally:
        if smtp is not None:
            with suppress(OSError):  # the letter's fate is known; a rude goodbye changes nothing
                smtp.quit()
            smtp.close()


def _secure(smtp: _Connection | _ImplicitTls, context: ssl.SSLContext) -> None:
    if not smtp.has_extn("starttls"):
        raise _NoStartTls
    smtp.starttls(context=context)
    smtp.ehlo()


def _outcome(error: Exception, server: Server, *, begun: bool) -> Retry | Permanent:
    """The decision that an error of the session asks for."""
    where = f"{server.host}:{server.port}"
    if isinstance(error, _NoStartTls):
        hint = "tls = implicit for port 465; tls = none only for a server on this machine"
        return Permanent(f"{where} does not offer STARTTLS, nothing was sent", hint)
    if isinstance(error, ssl.SSLCertVerificationError):
        return Permanent(
            f"the certificate of {where} is not trusted: {error.verify_message}",
            "ca_file = the file with its authority's certificate, in [notify.email]",
        )
    if isinstance(error, ssl.SSLError):
        return Retry(f"TLS with {where} failed ({error.reason}); is tls right for this port?", ambiguous=begun)
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return _by_code(
            error.smtp_code, f"{where}: login refused ({error.smtp_code})", "see SMTP_USERNAME and SMTP_PASSWORD"
        )
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return Permanent(f"{where} offers no login", "leave SMTP_USERNAME out, or name another port")
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return _refusal(error.recipients)
    if isinstance(error, smtplib.SMTPResponseException):
        return _answer(error, server)
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return Retry(f"{where} closed the connection", ambiguous=begun)
    if isinstance(error, socket.gaierror):
        return Retry(f"the name {server.host} does not resolve", soon=True)
    if isinstance(error, ConnectionRefusedError):
        return Retry(f"{where}: connection refused", soon=True)
    if isinstance(error, TimeoutError):
        return Retry(f"{where} did not answer in time", ambiguous=begun)
    if isinstance(error, FileNotFoundError):
        return Permanent(f"no certificate file at {server.ca_file}", "see ca_file in [notify.email]")
    return Retry(f"{where}: {error.strerror if isinstance(error, OSError) else error}", ambiguous=begun)


def _answer(error: smtplib.SMTPResponseException, server: Server) -> Retry | Permanent:
    text = _text(error.smtp_error)
    if error.smtp_code == 530 and server.tls == "none":
        return Permanent(f"the server wants TLS ({text})", "tls = starttls")
    if error.smtp_code == 530:
        return Permanent(f"the server wants a login ({text})", "set SMTP_USERNAME and SMTP_PASSWORD")
    return _by_code(error.smtp_code, f"{error.smtp_code} {text}", None)


def _refusal(refused: dict[str, tuple[int, bytes]]) -> Retry | Permanent:
    """Refused recipients; `send_message` returns those it could not serve without raising."""
    (address, (code, text)), *_ = refused.items()
    return _by_code(code, f"{address} refused: {code} {_text(text)}", None)


def _by_code(code: int, reason: str, hint: str | None) -> Retry | Permanent:
    return Retry(reason) if 400 <= code < 500 else Permanent(reason, hint)


def _text(said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return " ".join(text.split())


def _bare(sender: str) -> str:
    from email.utils import parseaddr

    return parseaddr(sender)[1] or sender
