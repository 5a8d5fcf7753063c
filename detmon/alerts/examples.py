"""A few images of what fires, for those who want to see them in messages (`[notify] include_examples`)."""

from __future__ import annotations

from datetime import datetime

from detmon.alerts.rules import Rule
from detmon.metrics import Labels
from detmon.store import Connection, statement

MOST = 3
ORDERS = {
    "avg_confidence": "confidence",
    "low_confidence_rate": "confidence",
    "no_detection_rate": "boxes",
    "detections_per_image": "boxes",
    "detection_count": "boxes",
    **dict.fromkeys(
        ("avg_latency_ms", "p50_latency_ms", "p90_latency_ms", "p95_latency_ms", "p99_latency_ms"), "latency"
    ),
}
"""Metric → which images show best what is wrong; the newest of the others."""


def images(con: Connection, rule: Rule, labels: Labels, slot: datetime) -> list[str]:
    """Up to three images in the window of `slot`, as `image_id`, or `image_id (uri)`."""
    chosen = {**dict(rule.definition.where), **dict(labels)}
    values = {
        "model": rule.model_id,
        "start": slot - rule.definition.window,
        "end": slot,
        "source": chosen.get("source"),
        "label": chosen.get("label"),
        "tags": [{"k": key[4:], "v": value} for key, value in chosen.items() if key.startswith("tag:")],
        "order": ORDERS.get(rule.definition.metric, "newest"),
        "most": MOST,
    }
    found = con.execute(statement("example_images"), values).fetchall()
    return [f"{image} ({uri})" if _may_be_told(uri) and uri != image else image for image, uri in found]


def _may_be_told(uri: str | None) -> bool:
    """Whether an address may stand in a message: one that is signed, or holds a password or the image, never does."""
    return uri is not None and not uri.startswith("data:") and not set(uri) & set("?#@")
