"""Logs that are known and not read: refused by name, with what helps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from detmon.errors import InputRefused
from detmon.formats import objects
from detmon.formats.contract import STEM
from detmon.formats.flat import ALIASES, BOXES, delimiter, header
from detmon.formats.inputs import PARQUET, Input
from detmon.formats.savetxt import outlines
from detmon.formats.suggest import images_as_keys, maps

PICTURE = "ingest the log of what was found in it"
LINES = "write JSON Lines: docs/serving.md"
WIDE = "write it as UTF-8: iconv -f UTF-16 -t UTF-8"
LATER = ("open-inference", "kserve")
"""Formats that are known by name, and not read yet."""
ONE_AN_IMAGE = "one_file_an_image"
NO_LOGS = (
    (0, b"PK\x03\x04", "a ZIP archive", "unpack it"),
    (257, b"ustar", "a tar archive", "unpack it"),
    (0, b"BZh", "compressed with bzip2", "unpack it, or use gzip or zstd"),
    (0, b"\xfd7zXZ", "compressed with xz", "unpack it, or use gzip or zstd"),
    (0, b"\x89PNG", "a picture", PICTURE),
    (0, b"\xff\xd8\xff", "a picture", PICTURE),
    (0, b"ARROW1", "an Arrow (Feather) file", "write Parquet"),
    (0, b"%PDF", "a PDF", None),
    (0, b"\x80\x02", "a Python pickle", LINES),
    (0, b"\x80\x03", "a Python pickle", LINES),
    (0, b"\x80\x04", "a Python pickle", LINES),
    (0, b"\x80\x05", "a Python pickle", LINES),
    (0, b"\x93NUMPY", "a NumPy array", LINES),
    (8, b"DUCK", "a DuckDB file", "COPY (FROM …) TO 'log.parquet'"),
    (0, b"SQLite format 3", "an SQLite file", "export its rows as CSV"),
    (0, b"\xff\xfe", "UTF-16 text", WIDE),
    (0, b"\xfe\xff", "UTF-16 text", WIDE),
)
"""What is no log: where its mark is, the mark, its name, and what helps."""
LABELLED = {
    5: None,
    6: "label=#1 --map confidence=#2 --map bbox=#3,#4,#5,#6",
    15: None,
    16: "label=#1 --map bbox=#5,#6,#7,#8 --map confidence=#16",
}
"""Words of a line that begins with a label → where its fields are (None: no score): `label score box`, and KITTI."""
TRACKED = {17: None, 18: "image_id=#1 --map track_id=#2 --map label=#3 --map bbox=#7,#8,#9,#10 --map confidence=#18"}
"""The same of KITTI's tracking: the frame, the track, then the label."""
IMAGE = ("image_id", *ALIASES["image_id"])
NAME = re.compile(r"\w[\w .-]{0,40}")
"""A cell that may be the name of a column."""
ANNOTATIONS = "annotations, or a log without scores"


def refused_by_name(data: Input) -> InputRefused | None:
    """The refusal of a source that no reader takes, when it can be told what it is."""
    if data.head.startswith(PARQUET):
        return _columns(data, _parquet_names(data))
    kind = objects.container(data.head)
    if kind is None:
        if refused := _no_log(data):
            return refused
        return outlines(data) or _separated(data) or _columns(data, header(data.head, data.name))
    found = objects.first_object(data.head)
    if found is None:
        return None
    if kind == "object" and {"model_name", "outputs"} <= found.keys():
        return not_yet(data.name, "open-inference")
    return _other_json(data, found)


def _no_log(data: Input) -> InputRefused | None:
    """The refusal of bytes that are no text, by what they are."""
    known = [(name, hint) for place, mark, name, hint in NO_LOGS if data.head[place:].startswith(mark)]
    name, hint = known[0] if known else (None, None)
    if not name and b"\0" not in data.head:
        return None
    zeros = data.head[:200:2].count(0), data.head[1:200:2].count(0)
    if not name and max(zeros) > 10 * (min(zeros) + 1):
        name, hint = "UTF-16 text", WIDE
    return InputRefused(f"{data.name} is {name or 'no text'}, no log", hint, code="unknown_format", curable=False)


def not_yet(name: str, format: str) -> InputRefused:
    """The refusal of a format that is not read yet."""
    return InputRefused(
        f"{name}: {format} is not supported yet", "convert to JSON Lines, docs/formats", code="not_supported"
    )


def _other_json(data: Input, found: dict[str, Any]) -> InputRefused | None:
    if {"name", "class", "confidence", "box"} <= found.keys():
        return InputRefused(
            f"{data.name}: bare results, without image and time",
            "wrap each result, see docs/formats",
            code="bare_results",
            curable=False,
        )
    suggested = maps(objects.first_objects(data.head))
    if suggested is None and images_as_keys(found):
        return InputRefused(
            f"{data.name}: one object with the images as its keys",
            'write one object an image: {"image_id": KEY, "detections": […], …}',
            code="unknown_format",
            curable=False,
        )
    if suggested is None:
        unscored = _boxes_of(found) == {"label": True, "confidence": False, "bbox": True}
        how = "--log-format flat --map confidence=KEY"
        return InputRefused(f"{data.name}: {ANNOTATIONS}", how, code="no_scores") if unscored else None
    options, scored = suggested
    if not scored:
        return InputRefused(f"{data.name}: {ANNOTATIONS}", f"where it is a log: {options}", code="no_scores")
    return InputRefused(f"{data.name}: home-made objects with lists of boxes", options, code="unknown_format")


def _parquet_names(data: Input) -> list[str]:
    from detmon.formats.parquet import open_parquet

    names: list[str] = open_parquet(str(data.as_path()), data.name).schema_arrow.names
    return names


def _columns(data: Input, names: list[str]) -> InputRefused | None:
    """The refusal of a table, by its column names."""
    folded = {name.strip().casefold() for name in names}
    if folded >= {"url", "bytes", "req_type", "id"}:
        return not_yet(data.name, "kserve")
    labelled, scored, boxed = _boxes_of(names).values()
    if boxed and labelled and not scored:
        return InputRefused(f"{data.name}: {ANNOTATIONS}", "--map confidence=COLUMN", code="no_scores")
    counted = any(name.endswith(("count", "counts")) or name.startswith("num_") for name in folded)
    if counted and not boxed and not scored:
        return InputRefused(f"{data.name} holds counts, not detections", code="counts_only", curable=False)
    if len(names) > 1 and _all_numbers(names):
        what = f"{data.name}: the first line is no header, it has {len(names)} numbers"
        return InputRefused(what, "--map FIELD=#N for each field (#1 is the first column)", code="no_header")
    if data.head.startswith(PARQUET) or (len(names) > 2 and all(map(NAME.fullmatch, names))):
        return _unmapped(data, names, _boxes_of(names))
    return None


def _boxes_of(names: Iterable[str]) -> dict[str, bool]:
    """What a box needs, and whether columns of these names hold it."""
    folded = {name.strip().casefold() for name in names}
    found = {target: bool(folded & {target, *ALIASES[target]}) for target in ("label", "confidence")}
    return {**found, "bbox": "bbox" in folded or any(set(group) <= folded for group in BOXES)}


def _unmapped(data: Input, names: list[str], found: Mapping[str, bool]) -> InputRefused:
    """The refusal of a table that lacks some of what boxes need."""
    how = " ".join(f"--map {name}=COLUMN" for name, there in found.items() if not there)
    if not found["bbox"] and not found["confidence"] and {name.casefold() for name in names} & set(IMAGE):
        how = f"--images {data.name} where it is a list of images; else {how}"
    what = f"{data.name}: of no known format, its columns are {', '.join(names)}"
    return InputRefused(what, how or "--map FIELD=COLUMN", code="unknown_format")


def _separated(data: Input) -> InputRefused | None:
    """The refusal of text whose cells are not separated by commas or tabs."""
    first = next((line for line in data.head.decode("utf-8", "replace").splitlines() if line.strip()), "")
    mark = delimiter(data.head, data.name)
    if mark == "," and first.count(";") > 2 and "," not in first:
        what = f"{data.name}: cells are separated by semicolons"
        return InputRefused(
            what, "write it with commas and decimal points (sep=',', decimal='.')", code="semicolons", curable=False
        )
    if _of_a_class(data):
        what = f"{data.name}: the name of an image, a score and a box a line: one file a class?"
        hint = "put the classes into one file, with a column that tells them apart: docs/formats.md"
        return InputRefused(what, hint, code="one_file_a_class", curable=False)
    words = labelled_words(data)
    if words:
        where = LABELLED[len(words)]
        if where is None:
            return _unscored(data, f"scores are word {'2' if len(words) == 5 else '16'}")
        how = f"--map image_id={STEM} --map {where} --box-format xyxy"
        return InputRefused(f"{data.name}: a label and a box a line; is a file an image?", how, code=ONE_AN_IMAGE)
    words = first.split()
    if mark == " " and len(words) in TRACKED and _all_numbers(words[:2]) and not _all_numbers(words[2:3]):
        where = TRACKED[len(words)]
        if where is None:
            return _unscored(data, "scores are word 18")
        what = f"{data.name}: KITTI's tracking, a box a line and no header"
        return InputRefused(what, f"--map {where} --box-format xyxy", code="no_header")
    return None


def labelled_words(data: Input) -> list[str]:
    """The words of the first line, where they are a label and numbers, as in files of one image each; else none."""
    first = next((line for line in data.head.decode("utf-8", "replace").splitlines() if line.strip()), "")
    words = first.split()
    told = delimiter(data.head, data.name) == " " and len(words) in LABELLED and not _of_a_class(data)
    return words if told and not _all_numbers(words[:1]) and _all_numbers(words[1:4]) else []


def _of_a_class(data: Input) -> bool:
    """Whether lines are `IMAGE SCORE X1 Y1 X2 Y2`, as VOC has them, a file a class: most first words differ."""
    lines = [line.split() for line in data.head.decode("utf-8", "replace").splitlines()[:-1]]
    images = {words[0] for words in lines if words and re.search(r"\d", words[0])}
    rows = all(len(words) == 6 and words[0] in images and _all_numbers(words[1:]) for words in lines)
    return rows and len(lines) > 2 and len(images) > len(lines) / 2


def _unscored(data: Input, where: str) -> InputRefused:
    what = f"{data.name}: a label and a box a line, no score: {ANNOTATIONS}"
    return InputRefused(what, f"in a log of this kind {where}", code="no_scores", curable=False)


def _all_numbers(cells: list[str]) -> bool:
    try:
        return bool(cells) and all(float(cell) == float(cell) for cell in cells)
    except ValueError:
        return False
