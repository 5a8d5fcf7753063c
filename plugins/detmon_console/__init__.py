"""Notices on the terminal (`stdout:`, `stdout:json`) and in a file (`file:/path.jsonl`)."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress

from detmon.errors import TargetError
from detmon.hookspecs import (
    Capabilities,
    Message,
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
    message_json,
)

_AT_ONCE = Capabilities(max_chars=100_000, rate_per_s=1000.0)


class Terminal(Notifier):
    """Writes to the terminal, as text or as one line of JSON."""

    scheme = "stdout"
    capabilities = _AT_ONCE

    def parse(self, rest: str) -> Target:
        if rest not in ("", "json"):
            raise TargetError(f"'stdout:{rest}' is not a target", "write stdout: or stdout:json")
        return Target(self.scheme, rest, rest)

    def send(self, target: Target, message: Message, ctx: SendContext) -> Outcome:
        ctx.console.write((message_json(message, ctx) if target.rest else message.text) + "\n")
        ctx.console.flush()
        return Sent()


class JsonLines(Notifier):
    """Appends one line of JSON a message to a file that only its owner can read."""

    scheme = "file"
    capabilities = _AT_ONCE

    def parse(self, rest: str) -> Target:
        if not rest or "\0" in rest or rest.endswith("/"):
            raise TargetError(f"'file:{rest}' is not a target", "write file:/path/to/notices.jsonl")
        path = os.path.abspath(os.path.expanduser(rest))
        return Target(self.scheme, path, path)

    def check(self, target: Target, *, online: bool) -> list[Problem]:
        folder = os.path.dirname(target.address)
        if not os.path.isdir(folder):
            return [Problem("warning", f"the folder {folder} does not exist")]
        try:
            mode = os.stat(target.address).st_mode
        except OSError:
            return []
        others = f"{target.address} can be read by others"
        return [Problem("warning", others, f"chmod 600 {target.address}")] if mode & 0o077 else []

    def send(self, target: Target, message: Message, ctx: SendContext) -> Outcome:
        line = message_json(message, ctx).encode() + b"\n"
        try:
            file = os.open(target.address, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            if error.errno == errno.ELOOP:
                return Permanent(f"{target.address} is a symbolic link", "name the file itself")
            return Retry(f"cannot open {target.address}: {error.strerror}")
        try:
            return _append(file, line, target.address)
        finally:
            os.close(file)

    def preview(self, target: Target, message: Message, ctx: SendContext) -> str:
        return message_json(message, ctx)


def _append(file: int, line: bytes, path: str) -> Outcome:
    """Write a whole line or none: a full disk takes a part of it first."""
    before = os.fstat(file).st_size
    try:
        written = os.write(file, line)
    except OSError as error:
        return Retry(f"cannot write {path}: {error.strerror}")
    if written == len(line):
        return Sent()
    with suppress(OSError):  # what is no regular file keeps the part
        os.ftruncate(file, before)
    return Retry(f"cannot write {path}: only {written} of {len(line)} bytes")


@hookimpl
def detmon_register_notifiers(register: RegisterNotifier) -> None:
    notifiers: tuple[Callable[[NotifierConfig], Notifier], ...] = (Terminal, JsonLines)
    for scheme, notifier in zip(("stdout", "file"), notifiers, strict=True):
        register(scheme, notifier)
