"""CVAT: "CVAT for images 1.1" XML out and in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from detmon.datasets import filenames
from detmon.review.looks import Found, Look, Shape, Unusable, boxes_in, numbers, pixels, sides, upright
from detmon.review.tasks import Task
from detmon.review.xml import tree

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

ID, SCORE = "detmon_id", "score"
DECLARED = {ID: "text", SCORE: "text"}
ITEM = re.compile(r"it_[0-9a-f]{12}(@[0-9.e-]+)?")
OTHER_SHAPES = ("polygon", "polyline", "points", "ellipse", "mask", "cuboid", "skeleton")


def name_of(task: Task) -> str:
    """The item, then the file with a picture's suffix: so equal names stay apart. A least confidence goes along."""
    item = task.item_id if task.least is None else f"{task.item_id}@{task.least:g}"
    return f"{item}/{filenames.base(task.image_id, task.image_uri)}"


def labels_json(labels: Iterable[str]) -> str:
    """The labels as CVAT's "Raw" constructor takes them: without their attributes the ids are lost."""
    attributes = [
        {"name": name, "mutable": False, "input_type": kind, "default_value": "", "values": [""]}
        for name, kind in DECLARED.items()
    ]
    return json.dumps([{"name": label, "type": "rectangle", "attributes": attributes} for label in labels], indent=1)


def written(tasks: Sequence[Task], labels: Iterable[str]) -> bytes:
    """The document."""
    from xml.etree import ElementTree as xml

    root = xml.Element("annotations")
    xml.SubElement(root, "version").text = "1.1"
    meta = xml.SubElement(xml.SubElement(xml.SubElement(root, "meta"), "task"), "labels")
    for label in labels:
        one = xml.SubElement(meta, "label")
        xml.SubElement(one, "name").text = label
        declared = xml.SubElement(one, "attributes")
        for name, kind in DECLARED.items():
            attribute = xml.SubElement(declared, "attribute")
            said = {"name": name, "mutable": "False", "input_type": kind, "default_value": "", "values": ""}
            for key, value in said.items():
                xml.SubElement(attribute, key).text = value
    for number, task in enumerate(tasks):
        _image(root, number, task)
    xml.indent(root)
    found: bytes = xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return found


def _image(root: Element, number: int, task: Task) -> None:
    from xml.etree import ElementTree as xml

    size = {} if task.size is None else {"width": str(task.size[0]), "height": str(task.size[1])}
    image = xml.SubElement(root, "image", {"id": str(number), "name": name_of(task), **size})
    for box, (x, y, w, h) in boxes_in(task.boxes):
        sides = {"xtl": x, "ytl": y, "xbr": x + w, "ybr": y + h}
        drawn = {"label": box.label, "occluded": "0", **{key: f"{side:.2f}" for key, side in sides.items()}}
        shape = xml.SubElement(image, "box", {**drawn, "source": "auto"})
        xml.SubElement(shape, "attribute", name=ID).text = box.id
        if box.confidence is not None:
            xml.SubElement(shape, "attribute", name=SCORE).text = f"{box.confidence:g}"


def read(found: Found, content: bytes) -> None:
    """The looks in a document: every image of it was reviewed. Raises InputRefused, OperationError."""
    root = tree(content, found.name)
    if root.tag != "annotations":
        raise found.refuse("is no CVAT XML", 'export it as "CVAT for images 1.1"')
    if root.find("track") is not None:
        raise found.refuse("is CVAT XML for video", 'export it as "CVAT for images 1.1"', "region_type")
    for line, image in enumerate(root.iter("image"), 1):
        found.looks.append(_look(found, line, image))


def _look(found: Found, line: int, image: Element) -> Look:
    parts = (image.get("name") or "").split("/")
    item, _, least = next((part for part in parts if ITEM.fullmatch(part)), "").partition("@")
    shapes, unclear = [], []
    for one in image:
        if one.tag != "box" and one.tag not in OTHER_SHAPES:
            continue
        try:
            shapes.append(_shape(found, one))
        except Unusable as why:
            found.reject(line, why, {"shape": one.tag, **one.attrib})
            unclear.append(_attribute(one) or "")
    size = image.get("width"), image.get("height")
    return Look(
        line=line,
        item=item or None,
        name=image.get("name"),
        least=_number(least),
        shapes=shapes,
        unclear=unclear,
        complete=not unclear,
        span=sides(*size),
        size=pixels(*size),
    )


def _shape(found: Found, box: Element) -> Shape:
    if box.tag != "box":
        raise Unusable(box.tag, "region_type", f"a region is no box: {box.tag}")
    try:
        left, top, right, bottom = (float(box.get(side, "nan")) for side in ("xtl", "ytl", "xbr", "ybr"))
        degrees = float(box.get("rotation", "0"))
    except ValueError:
        left = top = right = bottom = degrees = 0.0
    xywh = numbers((left, top, right - left, bottom - top))
    if xywh is None:
        raise Unusable("box", "bad_box", "a box has no area")
    if degrees:
        found.warn("rotated_box", "regions are turned: the upright box around each is taken")
        xywh = upright(xywh, degrees, (xywh[0] + xywh[2] / 2, xywh[1] + xywh[3] / 2))
    return Shape(_attribute(box), box.get("label"), xywh)


def _attribute(shape: Element) -> str | None:
    return next((one.text for one in shape.iter("attribute") if one.get("name") == ID and one.text), None)


def _number(text: Any) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None
