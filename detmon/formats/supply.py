"""What a log lacks or writes its own way, put right by the options: a frame in → the frame as it is meant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from detmon.errors import InputRefused, UsageError
from detmon.formats import ambiguity
from detmon.formats.contract import Options
from detmon.formats.frame import MOST_PIXELS, Frame
from detmon.formats.instants import State
from detmon.formats.names import Names, class_id

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Numbers = NDArray[np.floating[Any]]

LAYOUTS = ("xywh", "xyxy", "cxcywh")
SCALES = ("probability", "percent", "logit", "clip")


def check_options(options: Options) -> None:
    """Raise UsageError for an option whose value has no meaning."""
    from detmon.times import parse_zone

    choices = {
        "box_format": (*LAYOUTS, *(f"{layout}-norm" for layout in LAYOUTS)),
        "score_scale": SCALES,
        "latency_unit": ("ms", "s"),
        "image_id": ("path", "name", "stem"),
        "bad_rows": ("quarantine", "fail"),
    }
    for name, known in choices.items():
        value = getattr(options, name)
        if value is not None and value not in known:
            raise UsageError(f"--{name.replace('_', '-')} {value}: not known", "one of " + ", ".join(known))
    if options.tz is not None:
        parse_zone(options.tz)
    if options.fps is not None and not options.fps > 0:
        raise UsageError("--fps must be above 0")
    if options.merge_boxes is not None and not 0 < options.merge_boxes <= 1:
        raise UsageError("--merge-boxes must lie in (0, 1]")


class Supply:
    """Applies the options to one frame after the other; frames come in the file's order.

    `layout` is how the log writes a box, `names` are those of class ids where labels are numbers. Raises InputRefused
    where a size is needed and nobody knows it, and where names and class ids do not fit: in the sample, that is; in
    later records, of which some may be stored, these are faults.
    """

    def __init__(self, name: str, options: Options, layout: str = "xywh", names: Names | None = None) -> None:
        self.name = name
        self.names = names
        self.options = options
        self.base_told = False
        """Whether class ids begin at 0: the format says so, or those of the first records do."""
        self.layout = options.box_format or layout
        self.first_frame: int | None = None
        self.frame_prefix = ""
        self.left = ambiguity.SAMPLE
        """Records of the sample that are still to come."""
        self._place = 0

    def __call__(self, frame: Frame) -> Frame:
        self._texts(frame)
        self._sizes(frame)
        self._times(frame)
        self._scores(frame)
        self._layout(frame)
        if self.options.latency_unit == "s":
            import numpy as np

            with np.errstate(over="ignore"):  # an infinite latency is left out
                frame.numbers["latency_ms"] = frame.numbers["latency_ms"] * 1000
        if self.options.merge_boxes is not None:
            frame.boxes = _merged(frame, self.options.merge_boxes)
        self.left = max(0, self.left - len(frame))
        return frame

    def _texts(self, frame: Frame) -> None:
        texts, options = frame.texts, self.options
        for name, value in (("model_id", options.model), ("source", options.source), ("status", "ok")):
            if value is not None and texts[name].null_count:
                texts[name] = texts[name].fill_null(value)
        texts["image_id"] = image_ids(texts["image_id"], options.image_id)
        if options.confidence_floor is not None:
            import numpy as np

            floor = frame.numbers["confidence_floor"]
            frame.numbers["confidence_floor"] = np.where(np.isnan(floor), options.confidence_floor, floor)
        if options.label is not None and frame.boxes.label.null_count:
            frame.boxes.label = frame.boxes.label.fill_null(options.label)
        if self.names is not None:
            self._name_classes(frame, self.names)

    def _name_classes(self, frame: Frame, names: Names) -> None:
        """Labels that are numbers become names."""
        import pyarrow as pa

        boxes = frame.boxes
        places, texts = boxes.kinds
        numbers = {text: number for text in texts if text and (number := class_id(text)) is not None}
        offset = self.options.category_offset
        if names.listed and offset is None:
            self._judge_classes(frame, numbers, len(names.by_id))
        named = [names.name(numbers[text], offset or 0) or text if text in numbers else text for text in texts]
        boxes.label = pa.array(named, pa.string()).take(pa.array(places))
        del boxes.kinds

    def _judge_classes(self, frame: Frame, numbers: Mapping[str, int], names: int) -> None:
        """Whether class ids fit a list of so many names: refuse those of the sample, mark the records of later ones."""
        import numpy as np

        boxes = frame.boxes
        places, texts = boxes.kinds
        end = boxes.offsets[min(self.left, len(frame))]
        early = {numbers[text] for text in (texts[k] for k in np.unique(places[:end])) if text in numbers}
        for finding in ambiguity.categories(early, names, 0, told=self.base_told):
            raise InputRefused(f"{self.name}: {finding.message}", finding.hint, code=finding.code)
        self.base_told = self.base_told or bool(early) or 0 in numbers.values()
        for text, number in numbers.items():
            for finding in ambiguity.categories([number], names, 0, told=self.base_told):
                bad = end + np.flatnonzero(places[end:] == texts.index(text))
                frame.faults.add(boxes.owner[bad], "label", finding.code, finding.message, boxes.lines(bad))

    def _sizes(self, frame: Frame) -> None:
        import numpy as np

        if self.options.image_size is None:
            return
        width, height = frame.numbers["image_width"], frame.numbers["image_height"]
        unknown = np.isnan(width) | np.isnan(height)
        frame.numbers["image_width"] = np.where(unknown, self.options.image_size[0], width)
        frame.numbers["image_height"] = np.where(unknown, self.options.image_size[1], height)

    def _times(self, frame: Frame) -> None:
        import numpy as np

        begin = self._place
        self._place += len(frame)
        missing = frame.times.state == State.missing
        if self.options.start is None or not missing.any():
            return
        from detmon.times import EPOCH, naive_utc

        start = round((naive_utc(self.options.start) - EPOCH).total_seconds() * 1e6)
        if self.options.fps is None:
            frame.times.micros = np.where(missing, start, frame.times.micros)
        else:
            number = frame_numbers(frame.texts["image_id"], self.frame_prefix)
            if number is None:
                number = np.arange(begin, begin + len(frame))
            if self.first_frame is None:
                self.first_frame = int(number.min())
            passed = (number - self.first_frame) * (1e6 / self.options.fps)
            frame.times.micros = np.where(missing, start + np.rint(passed).astype(np.int64), frame.times.micros)
        frame.times.state = np.where(missing, State.ok, frame.times.state).astype(np.uint8)

    def _scores(self, frame: Frame) -> None:
        import numpy as np

        scale, boxes = self.options.score_scale, frame.boxes
        if scale == "percent":
            boxes.confidence = boxes.confidence / 100
        elif scale == "clip":
            boxes.confidence = np.clip(boxes.confidence, 0, 1)
        elif scale == "logit":
            with np.errstate(over="ignore"):
                boxes.confidence = 1 / (1 + np.exp(-boxes.confidence.astype(np.float64)))

    def _layout(self, frame: Frame) -> None:
        if self.layout == "xywh" or not len(frame.boxes):
            return
        import numpy as np

        box = frame.boxes.xywh.copy()
        layout = self.layout.removesuffix("-norm")
        with np.errstate(over="ignore", invalid="ignore"):  # of boxes that are faults of their records
            if layout == "xyxy":
                box[2:] -= box[:2]
            elif layout == "cxcywh":
                box[:2] -= box[2:] / 2
            if self.layout != layout:
                box *= self._box_sizes(frame)[[0, 1, 0, 1]]
        frame.boxes.xywh = box

    def _box_sizes(self, frame: Frame) -> Numbers:
        """Width and height of each box's image."""
        import numpy as np

        owner = frame.boxes.owner
        width, height = frame.numbers["image_width"][owner], frame.numbers["image_height"][owner]
        faulty = np.isin(owner, list(frame.faults.found))
        unknown = ~((width >= 1) & (width < MOST_PIXELS) & (height >= 1) & (height < MOST_PIXELS)) & ~faulty
        if unknown.all() and self.left:
            raise InputRefused(
                f"{self.name}: boxes are shares of the image, and the image's size is not known",
                "--image-size WxH, or --images LIST",
                code="no_image_size",
            )
        frame.faults.add(np.unique(owner[unknown]), "bbox", "no_image_size", "the size of the image is not known")
        return np.stack([width, height])


def image_ids(column: pa.Array, style: str | None) -> pa.Array:
    """Paths as image ids: `path` (default; slashes made equal), `name` (last part) or `stem` (without extension)."""
    import pyarrow.compute as pc

    if pc.any(pc.match_substring(column, "\\")).as_py():
        column = pc.replace_substring(column, "\\", "/")
    if pc.any(pc.starts_with(column, "./")).as_py():
        column = pc.replace_substring_regex(column, r"^(\./)+", "")
    if style in ("name", "stem"):
        column = pc.replace_substring_regex(column, r"^.*/", "")
    if style == "stem":
        column = pc.replace_substring_regex(column, r"^(.+)\.[^.]*$", r"\1")
    return column


def frame_numbers(ids: pa.Array, prefix: str = "") -> NDArray[np.int64] | None:
    """The image ids as numbers (the digits after the last slash and `prefix`); None when they are not all numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    digits = pc.replace_substring_regex(ids, f"^(.*/)?{re.escape(prefix)}", "")
    if not len(ids) or ids.null_count or not pc.all(pc.match_substring_regex(digits, r"^\d{1,15}$")).as_py():
        return None
    numbers: NDArray[np.int64] = digits.cast(pa.int64()).to_numpy()
    return numbers


def _merged(frame: Frame, at_least: float) -> Any:
    """The boxes without those that overlap a more confident box of their image by `at_least` (IoU)."""
    import numpy as np

    from detmon.matching import overlaps

    boxes = frame.boxes
    found = overlaps(boxes.xywh, boxes.offsets, at_least)
    rank = np.where(np.isnan(boxes.confidence), -1.0, boxes.confidence)
    partners: dict[int, list[int]] = {}
    for one, other in zip(found.first.tolist(), found.second.tolist(), strict=True):
        partners.setdefault(one, []).append(other)
        partners.setdefault(other, []).append(one)
    kept = np.ones(len(boxes), bool)
    for box in sorted(partners, key=lambda place: (-rank[place], place)):
        if kept[box]:
            kept[partners[box]] = False
    return boxes.keep(kept)
