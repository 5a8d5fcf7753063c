"""Notices to Prometheus' Alertmanager: `alertmanager:NAME`, one alert an instance.

Every open alert is posted again at each run, with an end that lies ahead: when detmon stops, Alertmanager lets it
resolve by itself.
"""

from __future__ import annotations

import json
from datetime import datetime

from detmon.hookspecs import (
    Capabilities,
    Message,
    MissingSetting,
    NamedNotifier,
    Outcome,
    Problem,
    RegisterNotifier,
    SendContext,
    SendFailed,
    Sent,
    Target,
    hookimpl,
    outcome_of,
)
from detmon.times import parse_instant
from detmon_alertmanager import alerts

PATH = "/api/v2"


class Alertmanager(NamedNotifier):
    """One Alertmanager, or one address in front of several."""

    scheme = "alertmanager"
    capabilities = Capabilities(rate_per_s=20.0, per_instance=True, stateful=True, refresh=True)

    def check(self, target: Target, *, online: bool) -> list[Problem]:
        http = self.settings(target).http
        problems = self.url_problems(target, online=online)
        if problems or not online or http is None:
            return problems
        url = self.url(target)
        try:
            outcome = outcome_of(http.get(_address(url, "status"), headers=self._headers(target)), _NEVER, url)
        except SendFailed as failed:
            outcome = failed.outcome
        return [] if isinstance(outcome, Sent) else [Problem("error", f"it does not answer: {outcome.reason}")]

    def send(self, target: Target, message: Message, ctx: SendContext) -> Outcome:
        posted, url = self._alerts(message, ctx), self.url(target)
        outcome = outcome_of(
            ctx.http.post(_address(url, "alerts"), json=posted, headers=self._headers(target)), ctx.now, str(target)
        )
        return Sent({"started_at": posted[0]["startsAt"]}) if isinstance(outcome, Sent) else outcome

    def preview(self, target: Target, message: Message, ctx: SendContext) -> str:
        return json.dumps(self._alerts(message, ctx), ensure_ascii=False, indent=2)

    def _alerts(self, message: Message, ctx: SendContext) -> list[alerts.Alert]:
        told = (ctx.receipt or {}).get("started_at")
        started = parse_instant(told) if told else None
        return [alerts.alert(item, message, ctx.now, started) for item in message.items]

    def _headers(self, target: Target) -> dict[str, str]:
        config = self.settings(target)
        if config.table.get("authorization") is None:
            return {}
        secret = config.secret("authorization")
        if secret is None:
            raise MissingSetting(f"{self.table_name(target)} authorization is not set")
        return {"Authorization": secret.reveal()}


_NEVER = datetime(2000, 1, 1)
"""`check` waits for nothing."""


def _address(url: str, name: str) -> str:
    return f"{url.rstrip('/').removesuffix(PATH)}{PATH}/{name}"


@hookimpl
def detmon_register_notifiers(register: RegisterNotifier) -> None:
    register("alertmanager", Alertmanager)
