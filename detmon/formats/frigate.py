"""Frigate's `frigate/events`: one record a tracked object, when it has ended."""

from __future__ import annotations

from typing import Any

from detmon.formats import objects
from detmon.formats.chunk import Seen
from detmon.formats.contract import Options
from detmon.formats.objectlines import Form, ObjectLog
from detmon.formats.paths import Mapped

FIELDS = {
    "image_id": "after.id",
    "timestamp": "after.start_time",
    "source": "after.camera",
    "detections.confidence": "top_score",
    "detections.bbox": "box",
}
TYPES = ("new", "update", "end")


class Frigate(ObjectLog):
    """Events; the images between them are not logged."""

    because = "`type` new, update or end, and `after.camera`"
    denominator = "unknown"
    layout = "xyxy"

    def recognises(self, found: list[dict[str, Any]]) -> bool:
        """A type and a camera in the first."""
        return found[0].get("type") in TYPES and objects.at(found[0], "after.camera") is not None

    def form(self, options: Options) -> Form:
        """One by one: events are few."""
        return Mapped({**FIELDS, **options.map}, _ended, odd=True)


def _ended(found: dict[str, Any], seen: list[Seen]) -> dict[str, Any] | None:
    """The object that an event ended, as a record's one detection."""
    after = found.get("after")
    if found.get("type") in ("new", "update"):
        return None
    if found.get("type") != "end" or not isinstance(after, dict):
        raise objects.Unusable("type", "wrong_type", "no event of Frigate: `type` or `after` is missing")
    if after.get("false_positive") is True:
        seen.append(Seen("false_positive", "{n} objects that Frigate itself calls false positives: left out"))
        return None
    seen.append(
        Seen("best_of_track", "{n} objects with the best score of their track: not comparable with logs of images")
    )
    return {**found, "detections": [after]}
