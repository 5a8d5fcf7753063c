"""Notices by e-mail: `email:ADDRESS` through an SMTP server, `sendmail:ADDRESS` through the host's own mailer."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable

from detmon.errors import TargetError, UsageError
from detmon.hookspecs import (
    Capabilities,
    Message,
    MissingSetting,
    Notifier,
    NotifierConfig,
    Outcome,
    Permanent,
    Problem,
    RegisterNotifier,
    Retry,
    SendContext,
    Sent,
    Target,
    hookimpl,
)
from detmon_email.settings import Server, read_server

_MAIL = Capabilities(
    max_chars=100_000, rate_per_s=5.0, timeout_s=15.0, ttl_s=7 * 86_400, secrets=("password", "SMTP_PASSWORD")
)
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_HOST_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
TEMPORARY = 75
"""sendmail's exit code for "try again later" (EX_TEMPFAIL)."""


class _Mail(Notifier):
    """What both ways have in common: exactly one address, the same message."""

    capabilities = _MAIL

    def parse(self, rest: str) -> Target:
        return Target(self.scheme, rest, parse_address(rest))

    def preview(self, target: Target, message: Message, ctx: SendContext) -> str:
        from detmon_email import mail

        return mail.build(message, ctx, target.address, self._sender() or "detmon@localhost").as_string()

    def _sender(self) -> str | None:
        config = self.config or NotifierConfig({}, lambda name: None)
        sender = config.table.get("from") or config.setting("SMTP_FROM")
        return str(sender) if sender else None


class Email(_Mail):
    """Through the SMTP server of `[notify.email]` or `SMTP_HOST`."""

    scheme = "email"

    def check(self, target: Target, *, online: bool) -> list[Problem]:
        try:
            server = self._server()
        except MissingSetting as missing:
            return [Problem("error" if online else "warning", str(missing))]
        except UsageError as error:
            return [Problem("error", error.message, error.hint)]
        if not online:
            return []
        from detmon_email import smtp

        outcome = smtp.greet(server, time.monotonic() + self.capabilities.timeout_s)
        if isinstance(outcome, Sent):
            return []
        if isinstance(outcome, Permanent):
            return [Problem("error", outcome.reason, outcome.hint)]
        return [Problem("warning", outcome.reason)]

    def send(self, target: Target, message: Message, ctx: SendContext) -> Outcome:
        from detmon_email import mail, smtp

        server = self._server()
        letter = mail.build(message, ctx, target.address, server.sender)
        outcome = smtp.transmit(server, letter, target.address, ctx.deadline)
        return Sent({"message_id": letter["Message-ID"]}) if isinstance(outcome, Sent) else outcome

    def _server(self) -> Server:
        assert self.config is not None
        return read_server(self.config)


class Sendmail(_Mail):
    """Through `/usr/sbin/sendmail`, for hosts that deliver mail themselves."""

    scheme = "sendmail"

    def send(self, target: Target, message: Message, ctx: SendContext) -> Outcome:
        from detmon_email import mail

        letter = mail.build(message, ctx, target.address, self._sender())
        command = [str(ctx.config.get("path", "/usr/sbin/sendmail")), "-i", "--", target.address]
        left = max(1.0, ctx.deadline - time.monotonic())
        try:
            done = subprocess.run(command, input=letter.as_bytes(), capture_output=True, timeout=left, check=False)
        except subprocess.TimeoutExpired:
            return Retry(f"{command[0]} did not come back", ambiguous=True)
        except OSError as error:
            raise MissingSetting(f"cannot run {command[0]}: {error.strerror}") from None
        if done.returncode == 0:
            return Sent({"message_id": letter["Message-ID"]})
        said = done.stderr.decode("utf-8", "replace").strip() or f"exit {done.returncode}"
        return Retry(said) if done.returncode == TEMPORARY else Permanent(said)


def parse_address(text: str) -> str:
    """One address, its domain in ASCII. Raises TargetError for anything else."""
    local, _, domain = text.rpartition("@")
    try:
        host = domain.encode("idna").decode("ascii")
    except UnicodeError:
        host = ""
    labels = host.split(".")
    good = _LOCAL.fullmatch(local) and len(local) <= 64 and len(host) <= 253
    if not good or not all(_HOST_LABEL.fullmatch(label) for label in labels):
        raise TargetError(
            f"{text!r} is not one e-mail address", "write email:team@example.com; several recipients: several targets"
        )
    return f"{local}@{host}"


@hookimpl
def detmon_register_notifiers(register: RegisterNotifier) -> None:
    notifiers: tuple[Callable[[NotifierConfig], Notifier], ...] = (Email, Sendmail)
    for scheme, notifier in zip(("email", "sendmail"), notifiers, strict=True):
        register(scheme, notifier)
