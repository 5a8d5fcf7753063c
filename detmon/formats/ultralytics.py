"""Ultralytics results in a wrapper: `to_json()` beside the image's path, size and speed."""

from __future__ import annotations

import math
from typing import Any

from detmon.formats import objects
from detmon.formats.chunk import Seen
from detmon.formats.contract import Options
from detmon.formats.objectlines import Form, ObjectLog
from detmon.formats.paths import Mapped

FIELDS = {
    "image_id": "path",
    "image_height": "orig_shape.0",
    "image_width": "orig_shape.1",
    "latency_ms": "speed.preprocess+speed.inference+speed.postprocess",
    "detections": "results",
    "detections.label": "name",
    "detections.bbox": "box.x1,box.y1,box.x2,box.y2",
}
CORNERS = ("1", "2", "3", "4")


class Ultralytics(ObjectLog):
    """One result an image, also of those where nothing was found."""

    because = "`path` and a list `results`"
    layout = "xyxy"

    def recognises(self, found: list[dict[str, Any]]) -> bool:
        """A path and a list of results in the first."""
        return isinstance(found[0].get("results"), list) and "path" in found[0]

    def form(self, options: Options) -> Form:
        """The results' paths, and the user's."""
        return Mapped({**FIELDS, **options.map}, _upright, rare="box.x3")


def _upright(found: dict[str, Any], seen: list[Seen]) -> dict[str, Any]:
    """Rotated boxes (x1 … x4, y1 … y4) as the boxes that enclose what of them is in the image."""
    boxes = found.get("results")
    if not isinstance(boxes, list) or not any(objects.at(box, "box.x3") is not None for box in boxes):
        return found
    height, width = (objects.number(objects.at(found, f"orig_shape.{k}"), "orig_shape") or math.inf for k in (0, 1))
    return {**found, "results": [_enclosing(box, width, height, seen) for box in boxes]}


def _enclosing(result: Any, width: float, height: float, seen: list[Seen]) -> Any:
    box = objects.at(result, "box")
    if objects.at(box, "x3") is None:
        return result
    across, down = ([objects.number(box.get(side + corner), "bbox") for corner in CORNERS] for side in "xy")
    if None in across or None in down:
        raise objects.Unusable("bbox", "bad_box", "a rotated box has fewer than four corners")
    seen.append(Seen("rotated_box", "{n} rotated boxes: stored as the boxes that enclose them"))
    x1, x2, y1, y2 = min(across), max(across), min(down), max(down)  # type: ignore[type-var]
    inside = {"x1": _within(x1, width), "y1": _within(y1, height), "x2": _within(x2, width), "y2": _within(y2, height)}
    return {**result, "box": inside}


def _within(side: float | None, most: float) -> float:
    return min(max(side or 0.0, 0.0), most)
