"""Labels that a model was trained on: COCO files and YOLO folders, with their pictures, as the content of a version."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detmon.datasets.pictures import is_file, size_of
from detmon.errors import InputRefused, UsageError
from detmon.formats.remote import is_remote, spoken
from detmon.formats.truth import Truth, TruthOptions, read_truth
from detmon.times import parse_instant

if TYPE_CHECKING:
    import pyarrow as pa

TAKES = "a COCO file, a folder with COCO files (annotations/), or a YOLO folder (data.yaml)"
WORDS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
EARLIEST = datetime(1980, 1, 1)
"""Earlier dates stand for none."""


@dataclass(frozen=True)
class Given:
    """Images with their labels, and where they were read. `warnings`: (code, message, count)."""

    origin: str
    images: Sequence[Mapping[str, Any]]
    warnings: Sequence[tuple[str, str, int]]

    def rows(self, dataset_id: str) -> pa.Table:
        """One row an image, as the candidates of a version (`version_given.sql`)."""
        import pyarrow as pa

        side = [(name, pa.float64()) for name in "xywh"]
        schema = pa.schema(
            [
                ("item_id", pa.string()),
                ("image_id", pa.string()),
                ("place", pa.string()),
                ("image_uri", pa.string()),
                ("source", pa.string()),
                ("taken_at", pa.timestamp("us")),
                ("image_width", pa.int32()),
                ("image_height", pa.int32()),
                ("annotations", pa.list_(pa.struct([("label", pa.string()), *side]))),
                ("split", pa.string()),
                ("reason", pa.string()),
            ]
        )
        return pa.Table.from_pylist([{**one, "item_id": _item_id(dataset_id, one)} for one in self.images], schema)


def _item_id(dataset_id: str, image: Mapping[str, Any]) -> str:
    """As items of predictions have it, of what tells the image apart."""
    text = "\x1f".join((image["source"] or "", image["image_id"], image["place"]))
    return f"it_{sha256(f'{dataset_id}:{text}'.encode()).hexdigest()[:12]}"


def read(places: Sequence[str | Path], image_root: Path | None = None) -> Given:
    """The labels in files and folders. Raises InputRefused for what holds none, OperationError, UsageError."""
    images: list[Mapping[str, Any]] = []
    warnings: list[tuple[str, str, int]] = []
    for file, side in [one for place in places for one in _files(place)]:
        truth = read_truth(file, TruthOptions(splits_apart=True))
        if truth.format not in ("coco", "yolo"):
            raise InputRefused(f"{spoken(file)} is neither COCO nor YOLO", f"it takes {TAKES}", code="unknown_format")
        images += _images(truth, Pictures(file, image_root, side), side)
        warnings += [(one.code, one.message, one.count) for one in truth.warnings]
        if truth.ignored.any():
            n = int(truth.ignored.sum())
            warnings.append(("ignored_regions", f"{n:,} regions to ignore (iscrowd) are no objects: left out", n))
    return Given(", ".join(spoken(place) for place in places), _with_times(images), warnings)


def _files(place: str | Path) -> list[tuple[str | Path, str | None]]:
    """The files to read, and the split of each: a folder may hold COCO files of several splits."""
    if is_remote(place) or not Path(place).expanduser().is_dir():
        return [(place, _split_of(Path(str(place))))]
    folder = Path(place).expanduser()
    found = sorted([*folder.glob("annotations/instances_*.json"), *folder.glob("*/_annotations.coco.json")])
    found = found or sorted(folder.glob("annotations/*.json"))
    if not found or list(folder.glob("*.y*ml")):
        return [(folder, None)]
    return [(file, _split_of(file)) for file in found]


def _split_of(file: Path) -> str | None:
    """The split that a word in a COCO file's name tells, or the name of its folder."""
    words = [*re.findall("[a-z]+", file.stem.lower()), file.parent.name.lower().rstrip("0123456789")]
    return next((WORDS[word] for word in words if word in WORDS), None)


class Pictures:
    """Finds the pictures of a COCO file: below `root`, or in the usual places around the file."""

    def __init__(self, file: str | Path, root: Path | None, side: str | None) -> None:
        here = Path.cwd() if is_remote(file) else Path(file).expanduser().absolute().parent
        last = re.split("[_.]", Path(str(file)).stem)[-1]
        names = dict.fromkeys(name for name in (side, last) if name)
        around = [here, here / "images", here.parent, here.parent / "images"]
        around += [here.parent / "images" / name for name in names] + [here.parent / name for name in names]
        self._roots = [root.expanduser().absolute()] if root else around

    def find(self, name: str) -> str | None:
        """The path of a picture, None where there is none."""
        for k, root in enumerate(self._roots):
            path = root / name
            if is_file(path):
                self._roots.insert(0, self._roots.pop(k))  # the others will lie there, too
                return str(path)
        return None


def _images(truth: Truth, pictures: Pictures, side: str | None) -> Iterator[Mapping[str, Any]]:
    import numpy as np

    bounds = np.searchsorted(truth.boxes.image, np.arange(len(truth.images) + 1)).tolist()
    labels, sides, ignored = truth.boxes.label.tolist(), truth.boxes.xywh.T.tolist(), truth.ignored.tolist()
    for k, (name, about) in enumerate(zip(truth.images, truth.about, strict=True)):
        objects = [
            (truth.labels[labels[n]], sides[n])
            for n in range(bounds[k], bounds[k + 1])
            if not ignored[n] and labels[n] >= 0
        ]
        yield _of_yolo(name, about, objects) if truth.normalised else _of_coco(name, about, objects, pictures, side)


def _of_coco(
    name: str, about: Mapping[str, Any], objects: list[tuple[str, list[float]]], pictures: Pictures, side: str | None
) -> dict[str, Any]:
    ours = about.get("detmon")
    ours = ours if isinstance(ours, dict) else {}
    address = next((about[key] for key in ("image_uri", "coco_url") if isinstance(about.get(key), str)), None)
    return {
        "image_id": str(ours.get("image_id") or name),
        "place": side or "",
        "image_uri": pictures.find(name) or address or ours.get("image_uri"),
        "source": _text(ours.get("source") or about.get("source")),
        "taken_at": _moment(about.get("date_captured")),
        "image_width": _pixels(about.get("width")),
        "image_height": _pixels(about.get("height")),
        "annotations": [_annotation(label, box) for label, box in objects],
        "split": side,
        "reason": None,
    }


def _of_yolo(name: str, about: Mapping[str, Any], objects: list[tuple[str, list[float]]]) -> dict[str, Any]:
    path, side = about.get("path"), WORDS.get(str(about.get("split")))
    size = size_of(path) if path else None
    width, height = size or (None, None)
    scale = (*size, *size) if size else (0, 0, 0, 0)
    boxes = [(label, [share * pixels for share, pixels in zip(box, scale, strict=True)]) for label, box in objects]
    return {
        "image_id": name.removeprefix(f"{about.get('split')}/"),
        "place": str(about.get("split") or ""),
        "image_uri": str(path.absolute()) if path else None,
        "source": None,
        "taken_at": None,
        "image_width": width,
        "image_height": height,
        "annotations": [_annotation(label, box) for label, box in boxes] if size else [],
        "split": side,
        "reason": "no_size" if objects and not size else None,
    }


def _annotation(label: str, box: Sequence[float]) -> dict[str, Any]:
    return {"label": label, **dict(zip("xywh", box, strict=True))}


def _with_times(images: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The same without times where all have one and the same: that is when the file was written."""
    moments = {one["taken_at"] for one in images}
    return [{**one, "taken_at": None} for one in images] if len(images) > 1 and len(moments) == 1 else images


def _moment(value: Any) -> datetime | None:
    """A time as COCO files have it; one without a zone is UTC's."""
    if not isinstance(value, str):
        return None
    try:
        found = parse_instant(value.replace("/", "-"))
    except UsageError:
        return None
    return found if found >= EARLIEST else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _pixels(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and 0 < value < 2**31 else None
