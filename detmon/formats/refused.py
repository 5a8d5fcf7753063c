"""Logs that are known and not read: refused by name, with what helps."""

from __future__ import annotations

from typing import Any

from detmon.errors import InputRefused
from detmon.formats import objects
from detmon.formats.contract import STEM
from detmon.formats.flat import ALIASES, BOXES, delimiter, header
from detmon.formats.inputs import PARQUET, Input

LATER = ("open-inference", "kserve")
"""Formats that are known by name, and not read yet."""
ONE_AN_IMAGE = "one_file_an_image"
MAPS = {
    6: "label=#1 --map confidence=#2 --map bbox=#3,#4,#5,#6",
    16: "label=#1 --map bbox=#5,#6,#7,#8 --map confidence=#16",
}
"""Number of words of a line that begins with a label → where its fields are: `label score box`, and KITTI."""


def refused_by_name(data: Input) -> InputRefused | None:
    """The refusal of a source that no reader takes, when it can be told what it is."""
    if data.head.startswith(PARQUET):
        return _columns(data, _parquet_names(data))
    kind = objects.container(data.head)
    if kind is None:
        if b"\0" in data.head:
            return None
        return _separated(data) or _columns(data, header(data.head, data.name))
    found = objects.first_object(data.head)
    if found is None:
        return None
    if kind == "object" and {"model_name", "outputs"} <= found.keys():
        return not_yet(data.name, "open-inference")
    return _other_json(data, found)


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
    return None


def _parquet_names(data: Input) -> list[str]:
    from detmon.formats.parquet import open_parquet

    names: list[str] = open_parquet(str(data.as_path()), data.name).schema_arrow.names
    return names


def _columns(data: Input, names: list[str]) -> InputRefused | None:
    """The refusal of a table, by its column names."""
    folded = {name.strip().casefold() for name in names}
    if folded >= {"url", "bytes", "req_type", "id"}:
        return not_yet(data.name, "kserve")
    boxed = "bbox" in folded or any(set(group) <= folded for group in BOXES)
    labelled = bool(folded & {"label", *ALIASES["label"]})
    scored = bool(folded & {"confidence", *ALIASES["confidence"]})
    if boxed and labelled and not scored:
        return InputRefused(
            f"{data.name}: annotations, or a log without scores", "--map confidence=COLUMN", code="no_scores"
        )
    counted = any(name.endswith(("count", "counts")) or name.startswith("num_") for name in folded)
    if counted and not boxed and not scored:
        return InputRefused(f"{data.name} holds counts, not detections", code="counts_only", curable=False)
    if _all_numbers(names):
        return InputRefused(f"{data.name}: the first line is no header", "--map FIELD=#N", code="no_header")
    if data.head.startswith(PARQUET):
        shown = ", ".join(names)
        return InputRefused(
            f"{data.name}: of no known format, its columns are {shown}", "--map FIELD=COLUMN", code="unknown_format"
        )
    return None


def _separated(data: Input) -> InputRefused | None:
    """The refusal of text whose cells are not separated by commas or tabs."""
    first = next((line for line in data.head.decode("utf-8", "replace").splitlines() if line.strip()), "")
    mark = delimiter(data.head, data.name)
    if mark == "," and first.count(";") > 2 and "," not in first:
        what = f"{data.name}: cells are separated by semicolons"
        return InputRefused(
            what, "write it with commas and decimal points (sep=',', decimal='.')", code="semicolons", curable=False
        )
    words = first.split()
    if mark != " " or not _all_numbers(words[1:4]) or _all_numbers(words[:1]):
        return None
    if len(words) in MAPS:
        how = f"--map image_id={STEM} --map {MAPS[len(words)]} --box-format xyxy"
        return InputRefused(f"{data.name}: a label and a box a line; is a file an image?", how, code=ONE_AN_IMAGE)
    if len(words) == 15:
        return InputRefused(
            f"{data.name}: KITTI annotations, or a log without scores",
            "scores are column 16",
            code="no_scores",
            curable=False,
        )
    return None


def _all_numbers(cells: list[str]) -> bool:
    try:
        return len(cells) > 1 and all(float(cell) == float(cell) for cell in cells)
    except ValueError:
        return False
