"""How trainers read labels: COCO and YOLO."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from detmon.datasets.records import Version
from detmon.errors import UsageError
from detmon.formats.remote import spoken
from detmon.times import format_instant

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Image:
    """An image of a version; `size` in pixels, `name` that of its file."""

    item_id: str
    image_id: str
    image_uri: str | None
    source: str | None
    taken_at: datetime | None
    split: str
    size: tuple[int, int] | None
    name: str

    @property
    def address(self) -> str | None:
        """Where it came from, as others may see it."""
        return address(self.image_uri)

    @property
    def path(self) -> Path:
        """Where its picture is, within the folder."""
        return Path("images", self.split, self.name)


def address(uri: str | None) -> str | None:
    """An address without the parts that can be secrets; None for what is none."""
    try:
        return spoken(uri) if uri else None
    except UsageError:
        return None


@dataclass(frozen=True)
class Labelled:
    """An image and its objects: the place of the class, then x, y, width, height in pixels."""

    image: Image
    boxes: list[tuple[int, float, float, float, float]]


def coco(folder: Path, version: Version, classes: Sequence[str], images: Sequence[Labelled]) -> None:
    """`annotations/instances_SPLIT.json`; all ids count from 1."""
    (folder / "annotations").mkdir()
    info = {
        "description": f"{version.dataset}: {version.name}",
        "version": version.digest,
        "date_created": format_instant(version.created_at),
        "contributor": version.id,
    }
    for split in _present(images):
        listed = [one for one in images if one.image.split == split]
        found = {
            "info": info,
            "images": [_coco_image(number, one.image) for number, one in enumerate(listed, 1)],
            "categories": [{"id": number, "name": label} for number, label in enumerate(classes, 1)],
            "annotations": list(_coco_annotations(listed)),
        }
        text = json.dumps(found, ensure_ascii=False, allow_nan=False)
        (folder / "annotations" / f"instances_{split}.json").write_text(text, "utf-8")


def _coco_image(number: int, image: Image) -> dict[str, Any]:
    """An image's entry; `detmon` says which it was before it got its file name."""
    found: dict[str, Any] = {"id": number, "file_name": image.name}
    if image.size:
        found["width"], found["height"] = image.size
    if image.taken_at:
        found["date_captured"] = format_instant(image.taken_at)
    about = {"item": image.item_id, "image_id": image.image_id, "image_uri": image.address, "source": image.source}
    return {**found, "detmon": {key: value for key, value in about.items() if value is not None}}


def _coco_annotations(images: Iterable[Labelled]) -> Iterable[dict[str, Any]]:
    id = 0
    for number, one in enumerate(images, 1):
        for place, x, y, w, h in one.boxes:
            id += 1
            box = {"bbox": [x, y, w, h], "area": w * h, "iscrowd": 0}
            yield {"id": id, "image_id": number, "category_id": place + 1, **box}


def yolo(folder: Path, version: Version, classes: Sequence[str], images: Sequence[Labelled]) -> None:
    """`data.yaml`, and `labels/SPLIT/NAME.txt` a picture, empty where nothing is on it. All images have a size."""
    present = _present(images)
    for split in present:
        (folder / "labels" / split).mkdir(parents=True)
        (folder / "images" / split).mkdir(parents=True, exist_ok=True)
    for one in images:
        assert one.image.size is not None
        width, height = one.image.size
        lines = (
            f"{place} {(x + w / 2) / width:.6f} {(y + h / 2) / height:.6f} {w / width:.6f} {h / height:.6f}\n"
            for place, x, y, w, h in one.boxes
        )
        stem = one.image.name.rpartition(".")[0]
        (folder / "labels" / one.image.split / f"{stem}.txt").write_text("".join(lines), "utf-8")
    empty = {split for split in present if not any(one.image.split == split for one in images)}
    (folder / "data.yaml").write_text("\n".join(_data_yaml(version, classes, present, empty)) + "\n", "utf-8")


def _data_yaml(version: Version, classes: Sequence[str], present: Sequence[str], empty: set[str]) -> Iterable[str]:
    """Without `path` the folders are those beside this file, wherever it is used."""
    yield f"# {version.id}, digest {version.digest}"
    for split in present:
        if split == "val" and empty & {"val"}:
            yield "val: images/train  # there are no validation images: figures of these are no validation"
        else:
            yield f"{split}: images/{split}"
    yield "names:"
    for place, label in enumerate(classes):
        yield f"  {place}: {quoted(label)}"


def quoted(text: str) -> str:
    """A text in YAML, readable; YAML knows no pairs of `\\u`, by which JSON may write a character."""
    return "".join(one if one.isprintable() else _escaped(ord(one)) for one in json.dumps(text, ensure_ascii=False))


def _escaped(point: int) -> str:
    return f"\\u{point:04x}" if point < 1 << 16 else f"\\U{point:08x}"


def _present(images: Sequence[Labelled]) -> list[str]:
    """The splits to write: train and val always."""
    found = {one.image.split for one in images}
    return [split for split in SPLITS if split != "test" or split in found]


LAYOUTS: Mapping[str, Callable[[Path, Version, Sequence[str], Sequence[Labelled]], None]] = {"coco": coco, "yolo": yolo}
