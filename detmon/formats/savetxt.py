"""Ultralytics `save_txt`: one text file an image or frame, a line a box, shares of the image."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detmon.errors import InputRefused, UsageError
from detmon.formats.boxrows import SIDES, BoxRows, records
from detmon.formats.chunk import Chunk
from detmon.formats.contract import Options
from detmon.formats.inputs import Input

if TYPE_CHECKING:
    import pyarrow as pa

FILES = 10_000
"""Files of a chunk: the first of them are the sample."""
NAMES = ("data.yaml", "data.yml", "classes.txt")
"""Files beside the labels, or one folder up, that name the classes."""
OUTLINES = "outlines"
LOOKED_AT = 50
"""Lines that tell the format."""
SIXTH = "#6"
SETTLED = "--map confidence=#6 or --map track_id=#6"
FRAME = re.compile(r"(.+_)(\d{1,15})")


class SaveTxt:
    """`class xc yc w h [confidence] [track]` a line; the name of the file is that of the image."""

    denominator = "unknown"
    layout = "cxcywh-norm"
    may_map = ("confidence", "track_id")
    per_image = True
    from_zero = True

    def __init__(self) -> None:
        self.mapping = {"image_id": "name of the file", "label": "word 1", "bbox": "words 2-5"}
        self.frame_prefix = ""
        self.first_frame: int | None = None

    def fits(self, head: bytes) -> bool:
        """Text."""
        return b"\0" not in head and head.lstrip()[:1] not in (b"{", b"[")

    def sniff(self, head: bytes, path: str) -> str | None:
        """Lines of a class number and 4 to 6 numbers, the first four of them shares."""
        lines = _first_lines(head)
        fits = bool(lines) and all(5 <= len(words) <= 7 and _is_box(words) for words in lines)
        return "lines of a class number and shares of the image" if fits else None

    def prepare(self, source: Input, options: Options) -> Options:
        """Whose frames the files are, and the names of the classes that lie beside them; InputRefused for outlines."""
        if refused := outlines(source):
            raise refused
        self._frames([_stem(file.name) for file in source.files or [Path(source.name)]], source.name, options)
        folder = source.folder
        if options.categories is not None or folder is None:
            return options
        beside = (place / name for place in (folder, folder.parent) for name in NAMES)
        names = next((file for file in beside if file.is_file() and _names_classes(file)), None)
        if names is not None:
            self.mapping["label"] = f"word 1, named by {names}"
        return replace(options, categories=names)

    def frame_id(self, options: Options, frame: float) -> str:
        """The image id of a frame: `STEM_17`."""
        return f"{self.frame_prefix}{int(frame)}"

    def read(self, source: Input, options: Options) -> Iterator[Chunk]:
        """A record a file; an empty file is an image without detections."""
        files = ((name, data) for name, data in source.each() if name not in NAMES)
        sixth = _Sixth(source.name, options.map)
        while some := list(islice(files, FILES)):
            yield from records(_rows(some, sixth))
            sixth.sample = False

    def _frames(self, stems: list[str], name: str, options: Options) -> None:
        """Settle the numbers of frames, where all files are frames of one video."""
        found = [FRAME.fullmatch(stem) for stem in stems]
        prefixes = {match[1] if match else "" for match in found}
        if "" in prefixes:
            return
        if len(prefixes) > 1:
            if options.fps is not None and options.images is None:
                shown = " and ".join(sorted(prefix[:-1] for prefix in prefixes)[:2])
                raise InputRefused(
                    f"{name}: frames of {len(prefixes)} videos ({shown}): which frame was when?",
                    f"one call a video, `{name}/{min(prefixes)}*.txt`",
                    code="several_videos",
                )
            return
        (self.frame_prefix,) = prefixes
        self.first_frame = min(1, *(int(match[2]) for match in found if match))


def outlines(source: Input) -> InputRefused | None:
    """The refusal of what `save_txt` writes of a model of segments or rotated boxes: corners, not boxes."""
    lines = _first_lines(source.head)
    longer = [words for words in lines if len(words) > 7]
    if not longer or not all(len(words) >= 7 and _is_box(words) for words in lines):
        return None
    kind = "rotated boxes" if all(len(words) in (9, 10) for words in lines) else "polygons"
    return InputRefused(
        f"{source.name}: {kind}, not boxes: a class number and {len(longer[0]) - 1} numbers a line",
        "log the same results as JSON, which has their boxes: docs/formats.md, Ultralytics",
        code=OUTLINES,
        curable=False,
    )


def _first_lines(head: bytes) -> list[list[bytes]]:
    """The words of the first whole lines."""
    lines = [line.split() for line in head.splitlines(keepends=True) if line.strip()][:LOOKED_AT]
    if len(lines) > 1 and not head.endswith(b"\n"):
        lines.pop()
    return lines


class _Sixth:
    """What the word after the box is: `confidence` or `track`; None until a line has one."""

    def __init__(self, name: str, said: Mapping[str, str]) -> None:
        self.name = name
        self.sample = True
        self.meaning: str | None = None
        for field, place in said.items():
            if place != SIXTH or len(said) > 1:
                raise UsageError(f"--map {field}={place}: only what the sixth number is can be said", SETTLED)
            self.meaning = "track" if field == "track_id" else "confidence"

    def settle(self, words: set[str], *, repeated: bool, has_seventh: bool) -> None:
        """Look at all sixth words of some files; raises InputRefused `sixth_field` while nothing is stored yet.

        Of whole numbers, 0 and 1 are both: an image that has one of them twice tells that they are no track ids.
        """
        if self.meaning is not None or not words:
            return
        whole = all(word.isdecimal() for word in words)
        odd = next((word for word in sorted(words) if not 0 <= _number(word) <= 1), None)
        if has_seventh:
            self.meaning = "confidence"
        elif whole and odd is not None:
            self.meaning = "track"
        elif not self.sample or (odd is None and (repeated or not whole)):
            self.meaning = "confidence"
        elif odd is None:
            raise self._refused(f"All are {' or '.join(sorted(words))}", SETTLED, curable=True)
        else:
            raise self._refused(f"It has fractions, and {odd}", "write with save_conf=True", curable=False)

    def _refused(self, why: str, hint: str, *, curable: bool) -> InputRefused:
        what = f"{self.name}: is the sixth number a confidence or a track id? {why}"
        return InputRefused(what, hint, code="sixth_field", curable=curable)


def _rows(files: Sequence[tuple[str, bytes]], sixth: _Sixth) -> BoxRows:
    """The lines of some files; a file without lines has one row without box."""
    import numpy as np
    import pyarrow as pa

    owners, lines = array("q"), array("q")
    sides = [array("d") for _ in SIDES]
    texts: list[str] = []
    labels: list[str | None] = []
    faults: dict[int, tuple[str | None, str, str]] = {}
    words: list[list[str]] = []
    for owner, (_, data) in enumerate(files):
        found = [
            (number, line)
            for number, line in enumerate(data.decode("utf-8-sig", "replace").splitlines(), start=1)
            if line.strip()
        ]
        for number, line in found or [(1, "")]:
            cells = line.split()
            box = [_number(cell) for cell in cells[1:5]]
            if cells and (fault := _fault(cells, box)):
                faults[len(owners)] = fault
            owners.append(owner)
            lines.append(number)
            texts.append(line)
            words.append(cells[5:7])
            labels.append(cells[0] if cells else None)
            for side, value in zip(sides, box if len(box) == 4 else [math.nan] * 4, strict=True):
                side.append(value)
    good = [rest for row, rest in enumerate(words) if row not in faults]
    told = [(owners[row], rest[0]) for row, rest in enumerate(words) if rest and row not in faults]
    sixth.settle(
        {word for _, word in told},
        repeated=len(set(told)) < len(told),
        has_seventh=any(len(rest) == 2 for rest in good),
    )
    scores, tracks = _scores_and_tracks(words, sixth.meaning, faults)
    names = [_stem(name) for name, _ in files]
    empty = pa.array([label is None for label in labels])
    columns: dict[str, pa.Array] = {
        "image_id": pa.array([names[owner] for owner in owners], pa.string()),
        "label": pa.array(labels, pa.string()),
        "confidence": pa.array(scores, pa.float64()),
        "track_id": pa.array(tracks, pa.string()),
        **{
            name: pa.array(np.frombuffer(side, np.float64), mask=np.asarray(empty))
            for name, side in zip(SIDES, sides, strict=True)
        },
    }

    def raw(rows: Sequence[int]) -> list[str]:
        return [f"{files[owners[row]][0]}: {texts[row]}" for row in rows]

    return BoxRows(columns, np.frombuffer(lines, np.int64), raw, faults)


def _scores_and_tracks(
    words: list[list[str]], meaning: str | None, faults: dict[int, Any]
) -> tuple[list[float | None], list[str | None]]:
    """Confidence and track id of each line, by what the sixth word means."""
    scores: list[float | None] = []
    tracks: list[str | None] = []
    for row, rest in enumerate(words):
        first = rest[0] if rest else None
        score, track = (None, first) if meaning == "track" else (first, rest[1] if len(rest) == 2 else None)
        if track is not None and not track.isdecimal():
            faults.setdefault(row, ("track_id", "wrong_type", f"the track id is no whole number: {track[:40]!r}"))
        scores.append(None if score is None else _number(score))
        tracks.append(track)
    return scores, tracks


def _fault(cells: list[str], box: list[float]) -> tuple[str | None, str, str] | None:
    if not 5 <= len(cells) <= 7:
        return (
            None,
            "field_count",
            f"{len(cells)} numbers, save_txt has 5 to 7 (polygons and rotated boxes are not read)",
        )
    if not cells[0].isdecimal():
        return "label", "wrong_type", f"the class is no whole number: {cells[0][:40]!r}"
    for cell, side in zip(cells[1:], [*box, *map(_number, cells[5:])], strict=True):
        if side != side and cell.casefold() != "nan":
            return "bbox", "wrong_type", f"no number: {cell[:40]!r}"
    return None


def _is_box(words: list[bytes]) -> bool:
    numbers = [_number(word.decode("utf-8", "replace")) for word in words[1:]]
    return words[0].isdigit() and all(0 <= side <= 1 for side in numbers[:4]) and all(n == n for n in numbers)


def _number(word: str) -> float:
    """A number, NaN for what is none."""
    try:
        return float(word)
    except ValueError:
        return math.nan


def _stem(name: str) -> str:
    return Path(name).stem


def _names_classes(file: Path) -> bool:
    return file.name == "classes.txt" or re.search(r"^names:", file.read_text("utf-8", "replace"), re.M) is not None
