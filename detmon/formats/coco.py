"""COCO: results (`loadRes` input), the same as written by Ultralytics, and datasets whose boxes have scores."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

from detmon.errors import InputRefused, OperationError
from detmon.formats import ambiguity, objects
from detmon.formats.boxrows import SIDES, BoxRows, records
from detmon.formats.chunk import RAW_KEPT, Chunk, Seen
from detmon.formats.contract import Options, Reject
from detmon.formats.inputs import Input
from detmon.formats.names import Names, read_names

RESULT = {"image_id", "category_id", "bbox", "score"}


class CocoResults:
    """An array with one object a box."""

    denominator = "unknown"
    may_map = ()
    names_classes = True
    file_names = False

    def fits(self, head: bytes) -> bool:
        """A JSON array."""
        return objects.container(head) == "array"

    def sniff(self, head: bytes, path: str) -> str | None:
        """Objects with image_id, category_id, bbox and score."""
        found = objects.first_object(head) if self.fits(head) else None
        if found is None or not found.keys() >= RESULT or ("file_name" in found) != self.file_names:
            return None
        return "an array of objects with image_id, category_id, bbox and score"

    def read(self, source: Input, options: Options) -> Iterator[Chunk]:
        """The records of the whole file."""
        rows = _Rows("file_name" if self.file_names else "image_id")
        for number, item, text in objects.array_items(source):
            rows.add(number, item, text)
        labels = _Labels(options, rows.sample(), source.name, guess_base=self.file_names)
        yield from records(rows.finished(labels))


class UltralyticsVal(CocoResults):
    """The `predictions.json` of an Ultralytics validation: results with the file name."""

    file_names = True


class CocoDataset:
    """One object with images, annotations that have scores, and categories."""

    denominator = "known"
    may_map = ()
    unit = "annotation"
    names_classes = True

    def fits(self, head: bytes) -> bool:
        """A JSON object."""
        return objects.container(head) == "object"

    def sniff(self, head: bytes, path: str) -> str | None:
        """Images, annotations and categories; told by their keys, for the object can be large."""
        if not self.fits(head) or (b'"images"' not in head and b'"annotations"' not in head):
            return None
        return "a COCO dataset whose annotations have scores" if objects.lone_object(head) else None

    def read(self, source: Input, options: Options) -> Iterator[Chunk]:
        """The records of the whole file, one an image."""
        import numpy as np
        import pyarrow as pa

        content = dataset(source)
        names = {one["id"]: one for one in content["images"]}
        rows = _Rows("image_id")
        for number, box in enumerate(content["annotations"], start=1):
            named = isinstance(box, dict) and isinstance(box.get("image_id"), (int, str))
            image = names.get(box["image_id"]) if named else None
            if image is not None:
                box = {**box, "image_id": image.get("file_name", str(image["id"]))}
            rows.add(number, box, json.dumps(box, ensure_ascii=False)[:RAW_KEPT])
        by_id = Names({int(one["id"]): str(one["name"]) for one in content["categories"]}, listed=False)
        made = rows.finished(_Labels(options, rows.sample(), source.name, by_id))
        images = [*content["images"]]
        n = len(images)
        extra = {
            "image_id": pa.array([str(one.get("file_name", one["id"])) for one in images], pa.string()),
            "image_width": pa.array([_side(one.get("width")) for one in images], pa.float64()),
            "image_height": pa.array([_side(one.get("height")) for one in images], pa.float64()),
            "label": pa.nulls(n, pa.string()),
            **{name: pa.nulls(n, pa.float64()) for name in ("confidence", *SIDES)},
        }
        columns = {
            name: pa.concat_arrays([column, made.columns[name] if name in made.columns else _nulls(made, column)])
            for name, column in extra.items()
        }
        line = np.concatenate([np.zeros(n, np.int64), made.line])
        faults = {row + n: fault for row, fault in made.faults.items()}
        raw = made.raw

        def texts(some: Sequence[int]) -> list[str]:
            return [json.dumps(images[row], ensure_ascii=False) if row < n else raw([row - n])[0] for row in some]

        yield from records(BoxRows(columns, line, texts, faults, made.rejects, made.seen))


def _nulls(rows: BoxRows, like: Any) -> Any:
    import pyarrow as pa

    return pa.nulls(len(rows.line), like.type)


def _side(value: Any) -> float | None:
    """A side of an image; what is no number is not known, as what is 0 or less."""
    try:
        return objects.number(value, "width")
    except objects.Unusable:
        return 0.0


def dataset(source: Input) -> dict[str, Any]:
    """The whole object; InputRefused when its annotations are ground truth, OperationError when it is damaged."""
    try:
        content = json.loads(source.whole().decode("utf-8-sig"))
        boxes, images = content["annotations"], content["images"]
        if not (isinstance(boxes, list) and isinstance(images, list) and isinstance(content["categories"], list)):
            raise KeyError("annotations")
        for one in images:
            objects.text(one["id"], "id")
            objects.text(one.get("file_name"), "file_name")
        for one in content["categories"]:
            int(one["id"]), objects.text(one["name"], "name")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise OperationError(f"{source.name} is cut off or no COCO dataset: {error}", code="unreadable") from None
    if boxes and not any(isinstance(box, dict) and "score" in box for box in boxes):
        raise InputRefused(
            f"{source.name} has no scores: it is ground truth",
            f"`detmon feedback match {source.name} --model MODEL`, or `--images {source.name}` for its list of images",
            code="ground_truth",
            curable=False,
        )
    return content  # type: ignore[no-any-return]


class _Labels:
    """Class ids → labels; raises InputRefused `category_base` when names and the ids of the sample do not fit."""

    def __init__(
        self,
        options: Options,
        ids: list[int | None],
        name: str,
        names: Names | None = None,
        *,
        guess_base: bool = False,
    ) -> None:
        self.names = read_names(options.categories) if options.categories is not None else names
        self.offset = options.category_offset or 0
        used = {number for number in ids if number is not None}
        self.judged = self.names is not None and self.names.listed and options.category_offset is None
        if self.names is None or not self.judged or not used:
            return
        n = len(self.names.by_id)
        if guess_base and 0 not in used and max(used) == n:
            self.offset = -1
        for finding in ambiguity.categories(used, n, self.offset, told=False):
            raise InputRefused(f"{name}: {finding.message}", finding.hint, code=finding.code)

    def __call__(self, number: int | None) -> str | None:
        if number is None:
            return None
        name = self.names.name(number, self.offset) if self.names is not None else None
        return name if name is not None else str(number)

    def fault(self, number: int | None) -> str | None:
        """Why a class id that was not in the sample cannot be one of the names, or None."""
        if self.names is None or not self.judged or number is None:
            return None
        findings = ambiguity.categories([number], len(self.names.by_id), self.offset)
        return findings[0].message if findings else None


class _Rows:
    """Collects objects of one box each."""

    def __init__(self, id_field: str) -> None:
        self.id_field = id_field
        self.categories: list[int | None] = []
        self._images: list[str | None] = []
        self._scores = array("d")
        self._sides = [array("d") for _ in SIDES]
        self._numbers = array("q")
        self._texts: dict[int, str] = {}
        """The faulty rows as found; others are written anew."""
        self._faults: dict[int, tuple[str | None, str, str]] = {}
        self._rejects: list[Reject] = []

    def add(self, number: int, item: Any, text: str) -> None:
        """One object; what is wrong with it is a fault of its image's record."""
        if not isinstance(item, dict):
            self._rejects.append(Reject(number, None, "bad_json", "not an object", text))
            return
        image, category, score, box = None, None, None, None
        try:
            field = self.id_field if item.get(self.id_field) is not None else "image_id"
            image = objects.text(item.get(field), field)
            category = _category(item.get("category_id"))
            score = objects.number(item.get("score"), "score")
            box = objects.bbox(item.get("bbox"))
        except objects.Unusable as fault:
            self._texts[len(self._numbers)] = text
            self._faults[len(self._numbers)] = (fault.field, fault.code, fault.reason)
        self._images.append(image)
        self.categories.append(category)
        self._scores.append(math.nan if score is None else score)
        for side, value in zip(self._sides, box or [math.nan] * 4, strict=True):
            side.append(value)
        self._numbers.append(number)

    def sample(self) -> list[int | None]:
        """The class ids of the first images."""
        seen: set[str | None] = set()
        for row, image in enumerate(self._images):
            seen.add(image)
            if len(seen) > ambiguity.SAMPLE:
                return self.categories[:row]
        return self.categories

    def finished(self, labels: _Labels) -> BoxRows:
        """The rows, with their labels."""
        import numpy as np
        import pyarrow as pa

        unfit = {number: fault for number in set(self.categories) if (fault := labels.fault(number))}
        for row in (row for row, number in enumerate(self.categories) if number in unfit) if unfit else ():
            self._faults.setdefault(row, ("category_id", "category_base", unfit[self.categories[row]]))
        names = [labels(number) for number in self.categories]
        columns = {
            "image_id": pa.array(self._images, pa.string()),
            "label": pa.array(names, pa.string()),
            "confidence": _floats(self._scores),
            **{side: _floats(values) for side, values in zip(SIDES, self._sides, strict=True)},
        }
        seen = []
        unnamed = sum(
            number is not None and labels.names is not None and name == str(number)
            for number, name in zip(self.categories, names, strict=True)
        )
        if unnamed:
            seen.append(Seen("label_is_number", "{n} boxes have a class id without name. hint: --categories", unnamed))
        line = np.frombuffer(self._numbers, np.int64)
        return BoxRows(columns, line, self._raw, self._faults, self._rejects, seen)

    def _raw(self, rows: Sequence[int]) -> list[str]:
        """Some rows as JSON, what is not read of them left out."""
        return [self._texts[row] if row in self._texts else self._written(row) for row in rows]

    def _written(self, row: int) -> str:
        sides = [side[row] for side in self._sides]
        fields = {
            self.id_field: self._images[row],
            "category_id": self.categories[row],
            "bbox": None if math.isnan(sides[0]) else sides,
            "score": None if math.isnan(self._scores[row]) else self._scores[row],
        }
        return json.dumps({name: value for name, value in fields.items() if value is not None}, ensure_ascii=False)


def _floats(values: array[float]) -> Any:
    """Numbers, null for NaN."""
    import numpy as np
    import pyarrow as pa

    return pa.array(np.frombuffer(values, np.float64), from_pandas=True)


def _category(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise objects.Unusable("category_id", "wrong_type", "`category_id` is not a whole number")
    return value
