"""Notices to a web service of one's own: `webhook:NAME`, signed JSON, or the payload of an Alertmanager webhook."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime

from detmon.errors import ConfigError
from detmon.hookspecs import (
    CRON,
    Message,
    MissingSetting,
    NamedNotifier,
    NotifierConfig,
    Outcome,
    Problem,
    RegisterNotifier,
    Secret,
    SendContext,
    Target,
    hookimpl,
    message_json,
    outcome_of,
)
from detmon.times import aware_utc

VARIABLE = "DETMON_WEBHOOK_SECRET"
FORMATS = ("detmon", "alertmanager")


class Webhook(NamedNotifier):
    """POSTs each notice to the `url` of its table."""

    scheme = "webhook"

    def check(self, target: Target, *, online: bool) -> list[Problem]:
        config = self.settings(target)
        _format(config, self.table_name(target))
        problems = self.url_problems(target, online=online)
        try:
            if not self._secrets(config, target) and not problems:
                problems.append(Problem("warning", "its notices are not signed", f"set {VARIABLE}"))
        except MissingSetting as missing:
            problems.append(Problem("error" if online else "warning", str(missing)))
        return problems

    def send(self, target: Target, message: Message, ctx: SendContext) -> Outcome:
        config, url = self.settings(target), self.url(target)
        body = self._body(target, message, ctx).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": ctx.notice_id}
        headers |= signature(self._secrets(config, target), body, ctx.now)
        if config.table.get("authorization") is not None:
            headers["Authorization"] = ctx.secret("authorization").reveal()
        return outcome_of(ctx.http.post(url, data=body, headers=headers), ctx.now, str(target))

    def preview(self, target: Target, message: Message, ctx: SendContext) -> str:
        return json.dumps(json.loads(self._body(target, message, ctx)), ensure_ascii=False, indent=2)

    def _body(self, target: Target, message: Message, ctx: SendContext) -> str:
        if _format(self.settings(target), self.table_name(target)) == "detmon":
            return message_json(message, ctx)
        from detmon_alertmanager import alerts

        return json.dumps(alerts.webhook(message, target.rest, ctx.now), ensure_ascii=False)

    def _secrets(self, config: NotifierConfig, target: Target) -> list[Secret]:
        """What signs: the `secret` of the table, two while it is changed, else that of the variable; it may be none."""
        written = config.table.get("secret")
        names = [str(name) for name in written] if isinstance(written, list) else ["secret"]
        if isinstance(written, list) and not all(name.startswith(("env:", "file:")) for name in names):
            raise ConfigError(
                f"{self.table_name(target)} secret holds plain text", 'write "env:VARIABLE" or "file:/path"'
            )
        found = [secret for name in names if (secret := config.secret(name))]
        if written is not None and not found:
            lacking = config.unresolved("secret") or f"secret: none of {', '.join(names)} is set ({CRON})"
            raise MissingSetting(f"{self.table_name(target)} {lacking}")
        return found or [secret for secret in [config.secret(VARIABLE)] if secret]


def signature(secrets: Sequence[Secret], body: bytes, now: datetime) -> dict[str, str]:
    """The headers that prove where a body comes from and when: v1=HMAC-SHA256(secret, t "." body), one a secret."""
    if not secrets:
        return {}
    time = str(int(aware_utc(now).timestamp()))
    signed = time.encode() + b"." + body
    proofs = [hmac.new(secret.reveal().encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return {"X-Detmon-Timestamp": time, "X-Detmon-Signature": ",".join(f"v1={proof}" for proof in proofs)}


def _format(config: NotifierConfig, table: str) -> str:
    chosen = str(config.table.get("format", FORMATS[0]))
    if chosen not in FORMATS:
        raise ConfigError(f"{table} format {chosen!r} is unknown", f"one of {', '.join(FORMATS)}")
    return chosen


@hookimpl
def detmon_register_notifiers(register: RegisterNotifier) -> None:
    register("webhook", Webhook)
