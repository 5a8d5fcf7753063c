"""Incidents in PagerDuty (Events API v2): `pagerduty:NAME`, one an instance, resolved when it is over."""

from __future__ import annotations

import json
from typing import Any

from detmon.hookspecs import (
    CRON,
    Capabilities,
    Item,
    Message,
    MissingSetting,
    NamedNotifier,
    Outcome,
    Problem,
    RegisterNotifier,
    Secret,
    SendContext,
    Sent,
    Target,
    hookimpl,
    outcome_of,
)
from detmon.times import format_instant

API = "https://events.pagerduty.com"
PATH = "/v2/enqueue"
VARIABLE = "PAGERDUTY_ROUTING_KEY"
SUMMARY, SIZE = 1_024, 512_000
"""The longest summary in characters and the biggest event in bytes."""


class PagerDuty(NamedNotifier):
    """One service: the one that the routing key belongs to."""

    scheme = "pagerduty"
    capabilities = Capabilities(rate_per_s=2.0, per_instance=True, stateful=True, secrets=(VARIABLE,))

    def check(self, target: Target, *, online: bool) -> list[Problem]:
        if self._key(target) is not None:
            return []
        return [Problem("error" if online else "warning", self._missing(target))]

    def send(self, target: Target, message: Message, ctx: SendContext) -> Outcome:
        key = self._key(target)
        if key is None:
            raise MissingSetting(self._missing(target))
        base = (self.settings(target).text("url") or API).rstrip("/").removesuffix(PATH)
        outcome: Outcome = Sent()
        for event in _events(message, key.reveal()):
            outcome = outcome_of(ctx.http.post(base + PATH, json=event), ctx.now, str(target))
            if not isinstance(outcome, Sent):
                return outcome
        return outcome

    def preview(self, target: Target, message: Message, ctx: SendContext) -> str:
        return json.dumps(_events(message, "***"), ensure_ascii=False, indent=2)

    def _key(self, target: Target) -> Secret | None:
        config = self.settings(target)
        return config.secret("routing_key") or config.secret(VARIABLE)

    def _missing(self, target: Target) -> str:
        lacking = self.settings(target).unresolved("routing_key")
        if lacking:
            return f"{self.table_name(target)} {lacking}"
        return f"neither {self.table_name(target)} routing_key nor {VARIABLE} is set ({CRON})"


def _events(message: Message, routing_key: str) -> list[dict[str, Any]]:
    """The events of a message: one opens or closes an incident; what was missed does both."""
    events = []
    for item in message.items:
        if not item.is_over or item.kind == "missed":
            events.append(_trigger(item, message, routing_key))
        if item.is_over:
            events.append({"routing_key": routing_key, "event_action": "resolve", "dedup_key": item.subject})
    return events


def _trigger(item: Item, message: Message, routing_key: str) -> dict[str, Any]:
    place = " ".join(f"{key}={value}" for key, value in item.labels.items())
    value = "" if item.value is None else f"{item.metric} {item.value:.4g}"
    summary = " · ".join(part for part in (message.title, place, value or item.reason) if part)
    payload: dict[str, Any] = {
        "summary": summary if len(summary) <= SUMMARY else summary[: SUMMARY - 1] + "…",
        "source": item.model_id or "detmon",
        "severity": str(item.detail.get("severity") or message.severity),
        "component": item.alert,
        "custom_details": _details(item, message),
    }
    if item.fired_at:
        payload["timestamp"] = format_instant(item.fired_at)
    event: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": item.subject,
        "client": "detmon",
        "links": [{"href": link, "text": name} for name, link in message.links.items()],
        "payload": payload,
    }
    if len(json.dumps(event).encode()) > SIZE:
        del payload["custom_details"]
    return event


def _details(item: Item, message: Message) -> dict[str, Any]:
    return {
        "labels": dict(item.labels),
        "metric": item.metric,
        "operator": item.operator,
        "threshold": item.threshold,
        "window": item.window,
        "value": item.value,
        "n": item.n,
        "reason": item.reason,
        "alert_id": item.alert_id,
        "text": message.text,
    }


@hookimpl
def detmon_register_notifiers(register: RegisterNotifier) -> None:
    register("pagerduty", PagerDuty)
