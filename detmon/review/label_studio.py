"""Label Studio: tasks with pre-annotations out, the JSON and JSON_MIN exports in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from xml.sax.saxutils import quoteattr

from detmon.review.looks import Found, Look, Shape, Unusable, boxes_in, instant, numbers, pixels, upright
from detmon.review.tasks import XYWH, Size, Task

SERVED = ("http", "https", "s3", "gs", "azure-blob", "azure_spi", "data")
"""Schemes that Label Studio resolves; of paths those below `/data/`."""
FROM, TO = "label", "image"
NO_SHAPES = ("choices", "textarea", "number", "rating", "datetime", "taxonomy", "pairwise", "ranker", "relation")


def is_served(address: str) -> bool:
    """Whether Label Studio can open an image of this address."""
    return address.startswith("/data/") or address.partition(":")[0] in SERVED


def config(labels: Iterable[str]) -> str:
    """The label configuration that the tasks need."""
    values = "".join(f"<Label value={quoteattr(label)}/>" for label in labels)
    return (
        f'<View><Image name="{TO}" value="$image"/>'
        f'<RectangleLabels name="{FROM}" toName="{TO}">{values}</RectangleLabels></View>'
    )


def written(task: Task, control: str = FROM, target: str = TO, image: str = "image") -> dict[str, Any]:
    """A task; names are those of the project's label configuration."""
    shown = list(boxes_in(task.boxes)) if task.size else []
    result = []
    for box, xywh in shown:
        assert task.size is not None
        width, height = task.size
        sides = zip(("x", "y", "width", "height"), xywh, (width, height, width, height), strict=True)
        value = {name: round(100 * side / whole, 4) for name, side, whole in sides}
        about = {"id": box.id, "type": "rectanglelabels", "from_name": control, "to_name": target}
        frame = {"original_width": width, "original_height": height, "image_rotation": 0}
        score = {} if box.confidence is None else {"score": box.confidence}
        result.append({**about, **frame, **score, "value": {**value, "rotation": 0, "rectanglelabels": [box.label]}})
    scores = [box.confidence for box, _ in shown if box.confidence is not None]
    least = {"score": min(scores)} if scores else {}
    predictions = [{"model_version": task.model_id, **least, "result": result}] if result else []
    return {"data": {image: task.address, "detmon": task.about()}, "predictions": predictions}


def read(found: Found, tasks: Sequence[Any]) -> None:
    """The looks in an export; raises InputRefused for a list of anything else."""
    for line, task in enumerate(tasks, 1):
        if not isinstance(task, Mapping):
            found.reject(line, Unusable(None, "wrong_type", "not a task"), task)
        elif "data" in task:
            _read_task(found, line, task)
        else:
            _read_flat(found, line, task)


def _read_task(found: Found, line: int, task: Mapping[str, Any]) -> None:
    data = task.get("data")
    about = data.get("detmon") if isinstance(data, Mapping) else None
    listed = task.get("annotations", task.get("completions"))
    annotations = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
    if not isinstance(about, Mapping):
        if annotations:
            found.reject(line, Unusable("data.detmon", "no_item", "the task does not say which item it is"), data)
        return
    done = [one for one in annotations if not one.get("was_cancelled")]
    found.skipped += bool(annotations and not done)
    for one in done:
        result = one.get("result")
        if not isinstance(result, list):
            found.reject(line, Unusable("result", "wrong_type", "the annotation has no list of regions"), one)
            continue
        at = instant(one.get("updated_at") or one.get("created_at"))
        annotation = str(one.get("id") or one.get("unique_id") or "")
        found.looks.append(_look(found, line, about, annotation, _person(one.get("completed_by")), at, result))


def _read_flat(found: Found, line: int, task: Mapping[str, Any]) -> None:
    """A task of JSON_MIN: its data and its regions beside one another, without the regions' ids."""
    about = task.get("detmon")
    if not isinstance(about, Mapping):
        found.reject(line, Unusable("detmon", "no_item", "the task does not say which item it is"), task)
        return
    lists = [value for key, value in task.items() if isinstance(value, list)]
    values = [one for some in lists for one in some if isinstance(one, Mapping) and "x" in one and "width" in one]
    result = [{**one, "type": "rectanglelabels", "value": one} for one in values]
    at = instant(task.get("updated_at") or task.get("created_at"))
    annotation = str(task.get("annotation_id") or "")
    found.looks.append(_look(found, line, about, annotation, _person(task.get("annotator")), at, result))


def _person(who: Any) -> dict[str, str]:
    """Who reviewed: by name, or by what the tool numbers people with."""
    if not isinstance(who, Mapping):
        return {} if who is None else {"user": f"user {who}"}
    name = who.get("email") or who.get("username")
    return {"name": str(name)} if name else {"user": f"user {who.get('id')}"}


def _look(
    found: Found,
    line: int,
    about: Mapping[str, Any],
    annotation: str,
    person: dict[str, str],
    at: datetime | None,
    result: list[Any],
) -> Look:
    shapes, unclear, sizes = [], [], []
    for region in _merged(result):
        if region.get("type") in NO_SHAPES:
            found.warn("not_a_box", "answers are not about boxes: left out")
            continue
        size = pixels(region.get("original_width"), region.get("original_height"))
        try:
            shapes.append(_shape(found, region, size))
            sizes += [size] if size else []
        except Unusable as why:
            found.reject(line, why, region)
            unclear.append(str(region.get("id") or ""))
    least = about.get("min_confidence")
    return Look(
        line=line,
        item=_text(about.get("item")),
        prediction=_text(about.get("prediction_id")),
        annotation=annotation,
        reviewer=person.get("name"),
        user=person.get("user"),
        at=at,
        least=least if isinstance(least, int | float) else None,
        shapes=shapes,
        unclear=unclear,
        complete=not unclear,
        span=(100.0, 100.0),
        size=sizes[0] if sizes else None,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _merged(result: list[Any]) -> Iterator[dict[str, Any]]:
    """Regions, what was said of each in several rows (a rectangle, its label) put together."""
    regions: dict[str, dict[str, Any]] = {}
    for number, one in enumerate(result):
        if isinstance(one, Mapping):
            value = one["value"] if isinstance(one.get("value"), Mapping) else {}
            key = str(one.get("id") or f"+{number}")
            if "x" in value and "x" in regions.get(key, {}).get("value", ()):  # another rectangle
                key = f"{key}+{number}"
            kept = regions.setdefault(key, {**one, "value": {}})
            kept["value"] |= value
            if one.get("type") in ("rectangle", "rectanglelabels"):
                kept["type"] = one["type"]
    yield from regions.values()


def _shape(found: Found, region: Mapping[str, Any], size: Size | None) -> Shape:
    """A rectangle, in percent of the image; raises Unusable."""
    kind, value = region.get("type"), region["value"]
    if kind not in ("rectangle", "rectanglelabels"):
        raise Unusable("type", "region_type", f"a region is no rectangle: {kind}")
    if region.get("image_rotation"):
        raise Unusable("image_rotation", "image_rotated", "a region is drawn on a turned image")
    xywh = numbers([value.get(name) for name in ("x", "y", "width", "height")])
    if xywh is None:
        raise Unusable("value", "bad_box", "a region has no area")
    if value.get("rotation"):
        found.warn("rotated_box", "regions are turned: the upright box around each is taken")
        xywh = _upright(xywh, value["rotation"], size)
    names = value.get("rectanglelabels") or value.get("labels")
    label = str(names[0]) if isinstance(names, list) and names else None
    return Shape(_text(region.get("id")), label, xywh)


def _upright(xywh: XYWH, degrees: Any, size: Size | None) -> XYWH:
    """A region turned around its top-left corner; percent of width and height are not alike, so by pixels."""
    if size is None or not isinstance(degrees, int | float):
        raise Unusable("rotation", "no_image_size", "a turned region on an image of unknown size")
    across, down = size[0] / 100, size[1] / 100
    x, y, w, h = xywh
    box = upright((x * across, y * down, w * across, h * down), degrees, (x * across, y * down))
    return box[0] / across, box[1] / down, box[2] / across, box[3] / down
