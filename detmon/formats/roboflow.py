"""Roboflow inference responses: boxes by their centre, time in seconds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from detmon.errors import InputRefused
from detmon.formats import objects
from detmon.formats.chunk import Seen
from detmon.formats.contract import Options
from detmon.formats.inputs import Input
from detmon.formats.objectlines import Form, ObjectLog
from detmon.formats.paths import Mapped

FIELDS = {
    "prediction_id": "inference_id",
    "latency_ms": "time",
    "image_width": "image.width",
    "image_height": "image.height",
    "detections": "predictions",
    "detections.label": "class",
    "detections.bbox": "x,y,width,height",
    "detections.track_id": "tracker_id",
}
BOX = {"x", "y", "width", "height", "confidence", "class"}
SEVERAL = "`image` is a list: one response for several images"


class Roboflow(ObjectLog):
    """Responses, with what the user logged beside them: time, model, image and source."""

    because = "`predictions` of x, y, width, height, confidence and class"
    layout = "cxcywh"

    def recognises(self, found: list[dict[str, Any]]) -> bool:
        """All boxes have Roboflow's keys; where no box is to be seen, the responses do."""
        lists = [one.get("predictions") for one in found]
        if not isinstance(lists[0], list):
            return False
        boxes = [box for some in lists if isinstance(some, list) for box in some]
        if not boxes:
            return bool(found[0].keys() & {"inference_id", "image"})
        return all(isinstance(box, dict) and box.keys() >= BOX for box in boxes)

    def prepare(self, data: Input, options: Options) -> Options:
        """Latencies are seconds. Raises InputRefused when the first responses are of several images each."""
        if any(isinstance(one.get("image"), list) for one in objects.first_objects(data.head)):
            raise InputRefused(
                f"{data.name}: {SEVERAL}", "log one response per image", code="batched_response", curable=False
            )
        return replace(options, latency_unit=options.latency_unit or "s")

    def form(self, options: Options) -> Form:
        """The responses' paths, and the user's."""
        return Mapped({**FIELDS, **options.map}, _one_image)


def _one_image(found: dict[str, Any], seen: list[Seen]) -> dict[str, Any]:
    if isinstance(found.get("image"), list):
        raise objects.Unusable("image", "batched_response", SEVERAL)
    return found
