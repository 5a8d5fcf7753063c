"""Telling: drains the outbox through the notifiers that plugins bring.

`deliver` sends what waits; `parse_target` and `check_target` serve those who make rules.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

from detmon.config import Config
from detmon.records import Delivery

if TYPE_CHECKING:
    from detmon.hookspecs import Capabilities, Problem, Target
    from detmon.store import Store

__all__ = ["capabilities", "check_target", "deliver", "parse_target", "schemes"]


def deliver(store: Store, config: Config, *, now: datetime, console: TextIO) -> Delivery:
    """Send what is due, record what became of it, and count what is left.

    While nothing waits this is one small query, and no plugin is imported. `console` is where `stdout:` targets write.
    Raises StoreLocked when the store cannot be opened in time; KeyboardInterrupt after SIGINT or SIGTERM, once all
    that was claimed is recorded or given back.
    """
    from detmon.notify import outbox, settings

    about = settings.read(config)
    with store.reading() as con:
        seen = outbox.glance(con, now, about.overdue_after)
        due = outbox.candidates(con, now) if seen.queued else []
    if not seen.queued and not seen.sending:
        return Delivery(dead=seen.dead, problems=outbox.dead_letters(seen))
    from detmon.notify import delivery

    return delivery.Run(store, config, now, console).deliver(due)


def parse_target(config: Config, text: str) -> Target:
    """The target that `text` names; a rule keeps `str()` of it. Raises UsageError naming the nearest scheme."""
    from detmon.notify.channels import Channels
    from detmon.notify.secrets import Redactor

    return Channels(config, Redactor()).open(text).target


def capabilities(config: Config, text: str) -> Capabilities:
    """What the channel of a target can do; the usual when its plugin does not load here."""
    from detmon.hookspecs import Capabilities
    from detmon.notify.channels import Channels
    from detmon.notify.secrets import Redactor

    return Channels(config, Redactor()).capabilities(text) or Capabilities()


def check_target(config: Config, text: str) -> list[Problem]:
    """What is wrong with the settings of a target (errors), and what this machine lacks to serve it (warnings)."""
    from detmon.hookspecs import Problem
    from detmon.notify.channels import Channels
    from detmon.notify.secrets import Redactor

    redact = Redactor()
    problems = Channels(config, redact).open(text).problems(online=False)
    return [Problem(one.level, redact(f"{text}: {one.text}"), one.hint and redact(one.hint)) for one in problems]


def schemes(config: Config) -> Collection[str]:
    """The schemes of targets that a plugin serves here."""
    from detmon.notify.channels import Channels
    from detmon.notify.secrets import Redactor

    return Channels(config, Redactor()).registry.notifiers
