"""News of an instance as an alert of Prometheus' world, and several as the payload of an Alertmanager webhook."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from detmon.hookspecs import Item, Message
from detmon.times import aware_utc, format_instant, parse_duration

Alert = dict[str, Any]
LEAST_AHEAD = timedelta(minutes=15)
"""An open alert ends no earlier than this after it was posted, unless it is posted again."""
_LONG = 80
"""Labels are cut to so many characters: two that were may be equal."""
_SIGNS = {"lt": "<", "le": "≤", "gt": ">", "ge": "≥", "eq": "=", "ne": "≠", "anomaly": "|z| ≥"}


def alert(item: Item, message: Message, now: datetime, started: datetime | None = None) -> Alert:
    """The alert of an item: it ends ahead of now, or now if it is over; `started` is what was said when it began."""
    begins = aware_utc(started or item.fired_at or now)
    ends = aware_utc(now) if item.is_over else aware_utc(now) + _ahead(item)
    return {
        "labels": labels(item, message),
        "annotations": texts(item, message),
        "startsAt": format_instant(min(begins, ends - timedelta(seconds=1))),  # an empty stretch is refused
        "endsAt": format_instant(ends),
    }


def labels(item: Item, message: Message) -> dict[str, str]:
    """What names the alert; the same at its beginning and its end. Health stretches are told apart by `health`."""
    health = item.subject.removeprefix(item.instance_key).removeprefix(".")
    cut = any(len(value) >= _LONG for value in item.labels.values())
    found = {
        **_texts(item.labels),
        **_texts(item.detail.get("rule_labels")),
        "alertname": item.alert,
        "model_id": item.model_id,
        "severity": str(item.detail.get("severity") or message.severity),
        "health": health,
        "instance_key": item.instance_key if cut else "",
    }
    return {_name(key): value for key, value in found.items() if value}  # an empty label is refused


def texts(item: Item, message: Message) -> dict[str, str]:
    """What people read."""
    value = "" if item.value is None else f" {item.value:.4g}"
    sign = _SIGNS.get(item.operator, item.operator)
    rule = f"{item.metric}{value}, threshold {sign} {item.threshold:.4g}, over {item.window}"
    health = item.subject != item.instance_key
    found = {
        "summary": ("TEST: " if message.title.startswith("TEST") else "")
        + (f"{item.alert}: {item.reason}" if health or not item.metric else f"{item.alert}: {rule}"),
        "description": str(item.detail.get("description") or ""),
        "runbook_url": str(item.detail.get("runbook") or ""),
        "samples": "" if item.n is None else str(item.n),
        "notice": message.text,
    }
    return {key: text for key, text in found.items() if text}


def webhook(message: Message, receiver: str, now: datetime) -> dict[str, Any]:
    """A message as Alertmanager's webhooks carry it (payload version 4)."""
    shown = [alert(item, message, now) for item in message.items]
    states = ["resolved" if item.is_over else "firing" for item in message.items]
    common = _common([one["labels"] for one in shown])
    group = {key: common[key] for key in ("alertname", "model_id") if key in common}
    return {
        "version": "4",
        "groupKey": "{}:{" + ", ".join(f"{key}={json.dumps(value)}" for key, value in group.items()) + "}",
        "truncatedAlerts": message.omitted,
        "status": "firing" if "firing" in states else "resolved",
        "receiver": receiver,
        "groupLabels": group,
        "commonLabels": common,
        "commonAnnotations": _common([one["annotations"] for one in shown]),
        "externalURL": "",
        "alerts": [
            {
                **one,
                "status": state,
                "endsAt": one["endsAt"] if state == "resolved" else "0001-01-01T00:00:00Z",
                "generatorURL": "",
                "fingerprint": _fingerprint(one["labels"]),
            }
            for one, state in zip(shown, states, strict=True)
        ],
    }


def _ahead(item: Item) -> timedelta:
    every = item.detail.get("every")
    return max(3 * parse_duration(str(every)), LEAST_AHEAD) if every else LEAST_AHEAD


def _name(key: str) -> str:
    """A label's name as Prometheus takes it: `tag:site` becomes `tag_site`."""
    name = re.sub(r"[^a-zA-Z0-9_]", "_", key)
    return f"_{name}" if name[:1].isdigit() else name


def _texts(values: object) -> dict[str, str]:
    return {str(key): str(value) for key, value in values.items()} if isinstance(values, Mapping) else {}


def _common(tables: Sequence[Mapping[str, str]]) -> dict[str, str]:
    first = dict(tables[0]) if tables else {}
    return {key: value for key, value in first.items() if all(table.get(key) == value for table in tables)}


def _fingerprint(labels: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()[:16]
