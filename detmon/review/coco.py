"""COCO datasets with scores out, with or without our keys in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from detmon.review.looks import Found, Look, Shape, Unusable, boxes_in, numbers, pixels, sides
from detmon.review.tasks import Task


def written(tasks: Sequence[Task], labels: Iterable[str]) -> dict[str, Any]:
    """The dataset; all ids are whole numbers from 1."""
    kinds = {label: number for number, label in enumerate(labels, 1)}
    images: list[Any] = []
    annotations: list[Any] = []
    for number, task in enumerate(tasks, 1):
        size = {} if task.size is None else {"width": task.size[0], "height": task.size[1]}
        address = {} if task.address == task.image_id else {"coco_url": task.address}
        images.append({"id": number, "file_name": task.image_id, **size, **address, "detmon": task.about()})
        for box, xywh in boxes_in(task.boxes):
            score = {} if box.confidence is None else {"score": box.confidence}
            about = {"id": len(annotations) + 1, "image_id": number, "category_id": kinds[box.label]}
            shape = {"bbox": list(xywh), "area": round(xywh[2] * xywh[3], 3), "iscrowd": 0}
            annotations.append({**about, **shape, **score, "attributes": {"detmon_id": box.id}})
    categories = [{"id": number, "name": label} for label, number in kinds.items()]
    return {"info": {}, "images": images, "categories": categories, "annotations": annotations}


def read(found: Found, said: Mapping[str, Any]) -> None:
    """The looks in a dataset: every image of it was reviewed. Raises InputRefused, OperationError."""
    try:
        names = {kind["id"]: str(kind["name"]) for kind in said["categories"]}
        by_image: dict[Any, list[Any]] = {image["id"]: [] for image in said["images"]}
        for one in said["annotations"]:
            if one.get("image_id") in by_image:
                by_image[one["image_id"]].append(one)
            else:
                found.warn("no_such_image", "annotations are on images that are not listed: left out")
        for line, image in enumerate(said["images"], 1):
            found.looks.append(_look(found, line, image, by_image[image["id"]], names))
    except (KeyError, TypeError, AttributeError) as error:
        raise found.refuse(f"is no COCO dataset: {type(error).__name__} {error}") from None


def _look(
    found: Found, line: int, image: Mapping[str, Any], annotations: Iterable[Any], names: Mapping[Any, str]
) -> Look:
    about = image.get("detmon")
    about = about if isinstance(about, Mapping) else {}
    shapes, unclear = [], []
    for one in annotations:
        own = one.get("attributes")
        key = own.get("detmon_id") if isinstance(own, Mapping) else None
        try:
            shapes.append(_shape(one, key if isinstance(key, str) else None, names))
        except Unusable as why:
            found.reject(line, why, one)
            unclear.append(str(key or ""))
    item, prediction, least = (about.get(key) for key in ("item", "prediction_id", "min_confidence"))
    size = image.get("width"), image.get("height")
    return Look(
        line=line,
        item=item if isinstance(item, str) else None,
        prediction=prediction if isinstance(prediction, str) else None,
        name=str(image.get("file_name") or "") or None,
        least=least if isinstance(least, int | float) else None,
        shapes=shapes,
        unclear=unclear,
        complete=not unclear,
        span=sides(*size),
        size=pixels(*size),
    )


def _shape(one: Mapping[str, Any], key: str | None, names: Mapping[Any, str]) -> Shape:
    xywh = numbers(one.get("bbox") or ())
    if xywh is None:
        raise Unusable("bbox", "bad_box", "an annotation has no box with an area")
    if one.get("iscrowd"):
        raise Unusable("iscrowd", "region_type", "an annotation is a crowd, not one object")
    if one.get("category_id") not in names:
        raise Unusable("category_id", "no_such_category", f"no category {one.get('category_id')}")
    return Shape(key, names[one["category_id"]], xywh)
