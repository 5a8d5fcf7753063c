"""Home-made JSON: the map that would read it, as far as the names of its keys tell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from detmon.formats.flat import ALIASES, BOXES

NAMES: Mapping[str, tuple[str, ...]] = {
    "image_id": ("image_id", *ALIASES["image_id"], "name", "frame", "frame_id", "frame_index", "frameindex"),
    "timestamp": ("timestamp", *ALIASES["timestamp"]),
    "source": ("source", *ALIASES["source"]),
    "model_id": ("model_id", *ALIASES["model_id"]),
    **{name: (name,) for name in ("prediction_id", "image_width", "image_height", "latency_ms", "confidence_floor")},
    "label": ("label", *ALIASES["label"], "category", "cls", "class_id", "category_id"),
    "confidence": ("confidence", *ALIASES["confidence"]),
}
"""Field → the last parts of paths that may hold it, the likeliest first."""
SIDES: Mapping[tuple[str, str, str, str], str] = {
    **BOXES,
    ("center_x", "center_y", "width", "height"): "cxcywh",
    ("x_center", "y_center", "width", "height"): "cxcywh",
}
OF_RECORDS = tuple(name for name in NAMES if name not in ("label", "confidence"))
WHOLE = ("bbox", "box", "rect", "xyxy", "xywh")
"""Keys of a whole box in a list of four."""


_IMAGE = re.compile(r"\d+|.+\.(jpe?g|png|bmp|webp|tiff?)", re.IGNORECASE)


def maps(found: Sequence[Mapping[str, Any]]) -> tuple[str, bool] | None:
    """The options that read such objects, and whether their boxes have scores; None where no boxes are to be seen."""
    for one in found:
        for path, boxes in _lists(one):
            leaves = dict(_leaves(boxes[0]))
            box = _box(leaves)
            if box is None or _is_image(path):
                continue
            record = {key: value for key, value in _leaves(one) if not isinstance(value, list)}
            fields = {name: _named(record, NAMES[name]) for name in OF_RECORDS}
            said = [f"--map {name}={key}" for name, key in fields.items() if key not in (None, name)]
            said += [f"--map detections={path}"] if path != "detections" else []
            inner = {name: _named(leaves, NAMES[name]) for name in ("label", "confidence")}
            said += [f"--map detections.{name}={key or 'PATH'}" for name, key in inner.items() if key != name]
            if any(one.startswith("--map") for one in [*said, *box]):
                return " ".join([*said, *box]), inner["confidence"] is not None
    return None


def images_as_keys(found: Mapping[str, Any]) -> bool:
    """Whether an object has the boxes of each image under its name: there is no path that leads to all of them."""
    return any(_is_image(path) and _box(dict(_leaves(boxes[0]))) is not None for path, boxes in _lists(found))


def _is_image(key: str) -> bool:
    """Whether a key is the name of an image, or its number, and no field."""
    return _IMAGE.fullmatch(key) is not None


def _lists(found: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """The lists of objects in an object, by path."""
    for key, value in found.items():
        if isinstance(value, dict):
            yield from _lists(value, f"{above}{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield f"{above}{key}", value


def _leaves(found: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The values of an object that are no objects, by path."""
    for key, value in found.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _named(leaves: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The path whose last part is one of the names."""
    last = {path.rpartition(".")[2].casefold(): path for path, value in leaves.items() if value is not None}
    return next((last[name] for name in names if name in last), None)


def _box(leaves: Mapping[str, Any]) -> list[str] | None:
    """The options for the box: a list of four numbers, or four keys beside one another."""
    for path, value in leaves.items():
        key = path.rpartition(".")[2].casefold()
        if key in WHOLE and isinstance(value, list) and len(value) == 4 and not isinstance(value[0], (list, dict)):
            said = [f"--map detections.bbox={path}"] if path != "bbox" else []
            return [*said, *_layout("xyxy" if key == "xyxy" else "xywh or xyxy", value)]
    for prefix in dict.fromkeys(path.rpartition(".")[0] for path in leaves):
        beside = {path.rpartition(".")[2].casefold(): path for path in leaves if path.rpartition(".")[0] == prefix}
        for sides, layout in SIDES.items():
            if set(sides) <= beside.keys():
                paths = [beside[side] for side in sides]
                shown = "xywh (its first two are a corner) or cxcywh (the centre)" if layout == "?" else layout
                return [f"--map detections.bbox={','.join(paths)}", *_layout(shown, [leaves[path] for path in paths])]
    return None


def _layout(layout: str, box: Sequence[Any]) -> list[str]:
    """The option for the layout; shares of the image need its size."""
    shares = all(isinstance(side, (int, float)) and 0 <= side <= 1.01 for side in box)
    shown = re.sub(r"\b(xywh|xyxy|cxcywh)\b", r"\1-norm", layout) if shares else layout
    return [f"--box-format {shown}", *(["--image-size WxH"] if shares else [])]
