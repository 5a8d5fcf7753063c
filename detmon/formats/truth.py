"""Ground truth: COCO datasets, YOLO folders, MOT `gt.txt` and CVAT XML, told apart by their content."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from detmon.errors import InputRefused, OperationError, UsageError
from detmon.formats.contract import Warned
from detmon.formats.inputs import Input
from detmon.formats.names import read_names
from detmon.formats.remote import opened
from detmon.formats.supply import image_ids
from detmon.matching import Boxes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.floating[Any]]
    Flags = NDArray[np.bool_]

PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
SPLITS = ("train", "val", "test")
_ENTRY = re.compile(r"^(path|train|val|test):[ \t]*([^#\n\[]+)", re.M)
HALF = re.compile(rb"\\u[dD][89a-fA-F]")
"""JSON for half of a character beyond the BMP."""
FORMATS = "a COCO dataset, a YOLO folder (data.yaml), MOT gt.txt or CVAT XML"


@dataclass(frozen=True)
class TruthOptions:
    """What the user says about ground truth (docs/feedback.md); None: not said.

    `splits_apart`: images of one name in two splits of a YOLO folder are two, named after their splits, too.
    """

    image_id: str | None = None
    label: str | None = None
    source: str | None = None
    splits_apart: bool = False


@dataclass(frozen=True)
class Truth:
    """Images by id and the objects on them.

    `boxes` hold places in `images` and `labels`; sides are pixels, or with `normalised` shares of the image's (a YOLO
    folder knows no sizes). `ignored` objects are regions that count neither way, `crowd` ones take any number of boxes.
    `area` is as given, else the box's. `about`: what else is said of each image (COCO: its entry; YOLO: its `path` and
    `split`; CVAT: its size). `digest`: sha256 of the content.
    """

    format: str
    digest: str
    images: list[str]
    about: list[Mapping[str, Any]]
    labels: list[str]
    boxes: Boxes
    ignored: Flags
    crowd: Flags
    area: Numbers
    normalised: bool
    warnings: tuple[Warned, ...]


def read_truth(path: str | Path, options: TruthOptions = TruthOptions()) -> Truth:
    """The ground truth in a file or folder.

    Raises InputRefused for what is none, OperationError for what cannot be read.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        return _yolo(place, options)
    if place.suffix in (".yaml", ".yml"):
        return _yolo(place.parent, options)
    with opened(path) as source:
        data = Input(source)
        try:
            content = data.whole()
        finally:
            data.close()
    path = source.name
    made = _Made(path, hashlib.sha256(content).hexdigest(), options)
    first = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if first == b"{":
        return _coco(made, content)
    if first == b"<" or content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _cvat(made, content)
    if first.isdigit():
        return _mot(made, content, place)
    raise InputRefused(f"{path} is no ground truth", f"it takes {FORMATS}", code="unknown_format", curable=False)


@dataclass
class _Made:
    """Ground truth as it is put together, object by object."""

    name: str
    digest: str
    options: TruthOptions
    images: dict[str, int] = field(default_factory=dict)
    about: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    rows: list[tuple[int, int, float, float, float, float, bool, bool, float]] = field(default_factory=list)
    found: dict[tuple[str, str], int] = field(default_factory=dict)

    def image(self, name: str, about: Mapping[str, Any] | None = None) -> int:
        """The place of an image, which is added when it is new."""
        place = self.images.setdefault(name, len(self.images))
        if about:
            self.about[place] = about
        return place

    def add(
        self, image: int, label: str | None, box: Iterable[float], *, ignored: bool = False, crowd: bool = False,
        area: float | None = None,
    ) -> None:  # fmt: skip
        """Add an object; one without area is only counted."""
        try:
            x, y, w, h = (float(side) for side in box)
        except (TypeError, ValueError, OverflowError):
            x = y = w = h = 0.0
        if not (0 < w < 1e9 and 0 < h < 1e9 and abs(x) < 1e9 and abs(y) < 1e9):
            return self.warn("box_empty", "objects have no box with an area: left out")
        kind = -1 if label is None else self.labels.setdefault(label, len(self.labels))
        self.rows.append((image, kind, x, y, w, h, ignored or crowd, crowd, w * h if area is None else area))

    def warn(self, code: str, message: str) -> None:
        """Count a finding."""
        self.found[code, message] = self.found.get((code, message), 0) + 1

    def refuse(self, why: str) -> NoReturn:
        """It cannot be read to its end."""
        raise OperationError(f"{self.name} is cut off or damaged: {why}", code="unreadable")

    def done(self, format: str, *, normalised: bool = False) -> Truth:
        """All of it, image by image."""
        import numpy as np
        import pyarrow as pa

        names = image_ids(pa.array(list(self.images), pa.string()), self.options.image_id).to_pylist()
        twice = len(names) - len(set(names))
        if twice:
            self.found["same_image_id", "images have the id of another one"] = twice
        columns = list(zip(*sorted(self.rows, key=lambda row: row[0]), strict=True)) or [()] * 9
        sides = np.array(columns[2:6], np.float64).reshape(4, -1)
        boxes = Boxes(np.array(columns[0], np.int64), np.array(columns[1], np.int64), sides)
        flags = (np.array(columns[6], bool), np.array(columns[7], bool))
        warnings = tuple(Warned(code, f"{n:,} {message}", n) for (code, message), n in self.found.items())
        return Truth(
            *(format, self.digest, names, [self.about.get(k, {}) for k in range(len(names))], list(self.labels)),
            *(boxes, *flags, np.array(columns[8], np.float64)),
            normalised=normalised,
            warnings=warnings,
        )


# --- COCO ---


def _coco(made: _Made, content: bytes) -> Truth:
    try:
        said = json.loads(content.decode("utf-8-sig"))
        if HALF.search(content):
            json.dumps(said, ensure_ascii=False).encode()  # a ValueError: no store can hold it
        images, boxes, kinds = (said[name] for name in ("images", "annotations", "categories"))
        names = {kind["id"]: str(kind["name"]) for kind in kinds}
        images = sorted(images, key=lambda image: (isinstance(image["id"], str), image["id"]))
        places = {image["id"]: made.image(str(image["file_name"]), image) for image in images}
    except KeyError as error:
        hint = f"it takes {FORMATS}"
        raise InputRefused(f"{made.name} is no COCO dataset: no {error}", hint, code="unknown_format") from None
    except (ValueError, RecursionError, TypeError) as error:
        if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
            hint = f"it takes {FORMATS}"
            raise InputRefused(f"{made.name} is JSON Lines: no ground truth", hint, code="unknown_format") from None
        made.refuse(str(error))
    if boxes and all(isinstance(box, dict) and "score" in box for box in boxes):
        hint = f"`detmon ingest {made.name}`"
        raise InputRefused(f"{made.name} has scores: it is a log, not ground truth", hint, code="has_scores")
    for box in boxes:
        at = box.get("image_id") if isinstance(box, dict) else None
        if not isinstance(at, Hashable) or at not in places:
            made.warn("no_such_image", "objects are on images that are not listed: left out")
            continue
        crowd, area = bool(box.get("iscrowd")), box.get("area")
        kind = box.get("category_id")
        label = names.get(kind) if isinstance(kind, Hashable) else None
        if label is None and not crowd:
            made.warn("no_such_category", "objects have a category that is not listed: left out")
            continue
        ignored = bool(box.get("ignore"))
        size = float(area) if isinstance(area, int | float) and abs(area) < 1e18 else None
        made.add(places[at], label, box.get("bbox") or (), ignored=ignored, crowd=crowd, area=size)
    return made.done("coco")


# --- YOLO ---


def _yolo(folder: Path, options: TruthOptions) -> Truth:
    """`data.yaml`, and where it says so (or in `images/`, `labels/`) pictures and their texts; one without is empty."""
    lists = sorted(folder.glob("*.y*ml"), key=lambda file: (file.stem != "data", file.name))
    places = _yolo_places(folder, lists[0]) if lists else []
    if not any(labels.is_dir() for _, _, labels in places):
        lack = "labels/" if lists else "data.yaml"
        raise InputRefused(f"{folder} is no YOLO folder: no {lack}", f"it takes {FORMATS}", code="unknown_format")
    names = read_names(lists[0]).by_id
    digest = hashlib.sha256(lists[0].read_bytes())
    made = _Made(str(folder), "", options)
    for split, images, labels in places:
        pictures = {_stem(file, images): file for file in _files(images) if file.suffix.lower() in PICTURES}
        texts = {_stem(file, labels): file for file in _files(labels) if file.suffix == ".txt"}
        for stem in sorted({*pictures, *texts}):
            picture = pictures.get(stem)
            whole = picture.relative_to(images) if picture else stem
            side, name = (split, whole) if split or len(whole.parts) == 1 else (whole.parts[0], _below_split(whole))
            about = {"path": picture, "split": side}
            made_as = Path(side, name) if options.splits_apart and side else name
            image = made.image(made_as.as_posix(), about)
            if stem in texts:
                content = texts[stem].read_bytes()
                digest.update(f"{split}/{stem}\0{len(content)}\0".encode() + content)
                _yolo_lines(made, image, content.decode("utf-8", "replace"), names)
    made.digest = digest.hexdigest()
    return made.done("yolo", normalised=True)


def _yolo_places(folder: Path, data: Path) -> list[tuple[str | None, Path, Path]]:
    """Splits, and where their pictures and texts lie: as `data.yaml` says, else the folders below `images`, `labels`.

    As trainers do, the texts of `…/images/…` are looked for in `…/labels/…`.
    """
    said = {key: value.strip().strip("'\"") for key, value in _ENTRY.findall(data.read_text("utf-8-sig", "replace"))}
    places: list[tuple[str | None, Path, Path]] = []
    for split in SPLITS:
        if not said.get(split):
            continue
        tried = [folder / said.get("path", "") / said[split], folder / said[split], folder / said[split].lstrip("./")]
        images = next((place.resolve() for place in tried if place.is_dir()), None)
        if images is not None and "images" in images.parts and images not in {place for _, place, _ in places}:
            at = len(images.parts) - images.parts[::-1].index("images") - 1
            places.append((split, images, Path(*images.parts[:at], "labels", *images.parts[at + 1 :])))
    if any(labels.is_dir() for _, _, labels in places):
        return places
    return [(None, folder / "images", folder / "labels")]


def _below_split(path: Path) -> Path:
    """A path without its first folder (`train`, `val`)."""
    return Path(*path.parts[1:])


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _stem(file: Path, folder: Path) -> Path:
    return file.relative_to(folder).with_suffix("")


def _yolo_lines(made: _Made, image: int, text: str, names: Any) -> None:
    for line in text.splitlines():
        cells = line.split()
        try:
            kind, x, y, w, h = int(cells[0]), *map(float, cells[1:5])
        except (ValueError, IndexError):
            if cells:
                made.warn("bad_line", "lines are not `class x y width height`: left out")
            continue
        if len(cells) > 5:
            made.warn("region_type", "objects are no boxes: left out")
        elif kind not in names:
            made.warn("no_such_category", "objects have a class without a name: left out")
        else:
            made.add(image, names[kind], (x - w / 2, y - h / 2, w, h))


# --- MOT ---


def _mot(made: _Made, content: bytes, path: Path) -> Truth:
    """`frame, id, left, top, width, height, considered, …`; `seqinfo.ini` beside it names and counts the frames."""
    from detmon.formats.mot import sequence

    if made.options.label is None:
        raise UsageError(f"{made.name}: MOT ground truth has no labels", "--label person")
    info = sequence(path.parent)
    source = made.options.source or info.get("name")
    prefix = f"{source}/" if source else ""
    for frame in range(1, int(info.get("seqlength", 0)) + 1):
        made.image(f"{prefix}{frame:06d}")
    for line in content.decode("utf-8-sig", "replace").splitlines():
        cells = line.split(",")
        try:
            frame, considered = int(float(cells[0])), float(cells[6])
        except (ValueError, IndexError):
            if line.strip():
                made.warn("bad_line", "lines are not `frame, id, left, top, width, height, considered`: left out")
            continue
        image = made.image(f"{prefix}{frame:06d}")
        made.add(image, made.options.label, _sides(cells[2:6]), crowd=considered == 0)
    if not made.images:
        raise InputRefused(f"{made.name} is no ground truth", f"it takes {FORMATS}", code="unknown_format")
    return made.done("mot")


def _sides(cells: list[str]) -> Iterator[float]:
    for cell in cells:
        try:
            yield float(cell)
        except ValueError:
            yield 0.0


# --- CVAT ---


class _Unwanted(Exception):
    """The XML declares a document type: entities could grow without end."""


def _cvat(made: _Made, content: bytes) -> Truth:
    """CVAT for images 1.1: `<image name><box label xtl ytl xbr ybr>`."""
    from xml.parsers import expat

    at: list[int] = []
    seen: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if not seen:
            seen.append(tag)
        if tag == "image":
            at[:] = [made.image(attributes["name"], attributes)]
        elif tag == "box" and at:
            left, top, right, bottom = (float(attributes[side]) for side in ("xtl", "ytl", "xbr", "ybr"))
            made.add(at[0], attributes["label"], (left, top, right - left, bottom - top))
        elif tag in ("polygon", "polyline", "points", "ellipse", "mask", "cuboid", "skeleton") and at:
            made.warn("region_type", "objects are no boxes: left out")

    def end(tag: str) -> None:
        if tag == "image":
            at.clear()

    def refuse(*_: object) -> None:
        raise _Unwanted

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(content, True)
    except _Unwanted:
        raise InputRefused(
            f"{made.name} declares a document type", "export it from CVAT again", code="xml_doctype"
        ) from None
    except expat.ExpatError as error:
        made.refuse(str(error))
    except (KeyError, ValueError) as error:
        made.refuse(f"line {parser.CurrentLineNumber}: {type(error).__name__} {error}")
    if seen != ["annotations"]:
        raise InputRefused(f"{made.name} is no CVAT XML for images", f"it takes {FORMATS}", code="unknown_format")
    return made.done("cvat")
