"""MOT `det.txt` and tracker files: frame, id, left, top, width, height, confidence, …; no header."""

from __future__ import annotations

import configparser
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from detmon.errors import InputRefused
from detmon.formats.boxrows import SIDES, BoxRows
from detmon.formats.chunk import Chunk
from detmon.formats.contract import Options
from detmon.formats.flat import NUMBER, Cells, FlatCsv, Piece, delimiter, header, in_pieces, parsed, to_numbers, whole
from detmon.formats.inputs import Input

if TYPE_CHECKING:
    import pyarrow as pa

CELLS = range(7, 11)


class Mot(FlatCsv):
    """One row a box, frames counted from 1."""

    first_frame = 1
    may_map = ()

    def sniff(self, head: bytes, path: str) -> str | None:
        """Rows of 7 to 10 numbers, a frame and an id first."""
        if not self.fits(head) or b"\0" in head or delimiter(head, path) != ",":
            return None
        cells = header(head, path)
        try:
            numbers = [float(cell) for cell in cells]
        except ValueError:
            return None
        if len(numbers) not in CELLS or not (numbers[0] >= 0 and numbers[1] >= -1):
            return None
        return "rows of 7 to 10 numbers, no header" if all(n.is_integer() for n in numbers[:2]) else None

    def prepare(self, source: Input, options: Options) -> Options:
        """What `seqinfo.ini` beside the file says; InputRefused where columns are missing."""
        cells = len(header(source.head, source.name))
        if cells < CELLS.start:
            raise InputRefused(
                f"{source.name} is not mot: {cells} columns, not 7 to 10",
                "--log-format flat --map FIELD=#N",
                code="unknown_format",
            )
        self.mapping = {"image_id": "#1", "track_id": "#2", "bbox": "#3,#4,#5,#6", "confidence": "#7"}
        info = sequence(source.folder)
        if not info:
            return options
        size = (int(info["imwidth"]), int(info["imheight"])) if {"imwidth", "imheight"} <= info.keys() else None
        return replace(
            options,
            source=options.source or info.get("name"),
            fps=options.fps or (float(info["framerate"]) if "framerate" in info else None),
            image_size=options.image_size or size,
            frames=options.frames or ((1, int(info["seqlength"])) if "seqlength" in info else None),
        )

    @staticmethod
    def frame_id(options: Options, frame: float) -> str:
        """The image id of a frame: `SOURCE/000001`."""
        number = f"{int(frame):06d}"
        return f"{options.source}/{number}" if options.source else number

    def read(self, source: Input, options: Options) -> Iterator[Chunk]:
        """The records of the whole file."""
        names = [f"#{k}" for k in range(1, len(header(source.head, source.name)) + 1)]
        mark = delimiter(source.head, source.name)

        def rows_of(piece: Piece, keys_only: bool) -> BoxRows:
            if keys_only:
                cells = parsed(piece, names, mark, {names[0]: NUMBER}, has_header=False)
                return BoxRows(
                    {"image_id": to_numbers(whole(cells.table[names[0]]), "image_id", {})}, cells.line, cells.raw
                )
            return self._boxes(
                parsed(piece, names, mark, dict.fromkeys(names[:7], NUMBER), has_header=False), names, options
            )

        yield from in_pieces(source, rows_of)

    def _boxes(self, cells: Cells, names: list[str], options: Options) -> BoxRows:
        """The rows of a piece."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        faults: dict[int, tuple[str | None, str, str]] = {}
        fields = zip(("image_id", "track_id", *SIDES, "confidence"), names, strict=False)
        found = {name: to_numbers(whole(cells.table[column]), name, faults) for name, column in fields}
        frame = found["image_id"].to_numpy(zero_copy_only=False)
        for row in np.flatnonzero(~(frame == np.rint(frame))):
            faults.setdefault(int(row), ("image_id", "wrong_type", "the frame is not a whole number"))
        score = found["confidence"]
        columns = {
            **found,
            "image_id": _named(
                found["image_id"], lambda frame: self.frame_id(options, frame) if frame.is_integer() else None
            ),
            "track_id": _named(found["track_id"], lambda track: None if track < 0 else str(int(track))),
            "confidence": pc.if_else(pc.equal(score, -1), None, score),
            "label": pa.DictionaryArray.from_arrays(
                np.zeros(len(frame), np.int32), pa.array([options.label], pa.string())
            ),
        }
        return BoxRows(columns, cells.line, cells.raw, faults, cells.rejects)


def _named(numbers: pa.Array, name: Callable[[float], str | None]) -> pa.Array:
    """The names of numbers; null has none, and neither has what is no number."""
    import pyarrow as pa

    encoded = numbers.dictionary_encode()
    names = [name(number) if math.isfinite(number) else None for number in encoded.dictionary.to_pylist()]
    return pa.array(names, pa.string()).take(encoded.indices).dictionary_encode()


def sequence(folder: Path | None) -> dict[str, str]:
    """The `[Sequence]` of `seqinfo.ini` in the file's folder or its parent; keys in lower case."""
    for place in (folder.absolute(), folder.absolute().parent) if folder is not None else ():
        parser = configparser.ConfigParser()
        try:
            if parser.read(place / "seqinfo.ini", "utf-8") and parser.has_section("Sequence"):
                return dict(parser["Sequence"])
        except (configparser.Error, UnicodeDecodeError):
            continue
    return {}
