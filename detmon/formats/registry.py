"""The formats detmon knows, and how a source is recognised: by content, never by its name alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from detmon.errors import InputRefused, UnknownName
from detmon.formats import objects
from detmon.formats.contract import Options
from detmon.formats.inputs import PARQUET, Input
from detmon.formats.parquet import open_parquet
from detmon.formats.refused import LATER, not_yet, refused_by_name

if TYPE_CHECKING:
    from detmon.hookspecs import FormatReader

READERS = {
    "detmon": ("jsonl:JsonLines", "parquet:Parquet", "arrays:JsonArray"),
    "coco": ("coco:CocoDataset",),
    "ultralytics-val": ("coco:UltralyticsVal",),
    "coco-results": ("coco:CocoResults",),
    "flat": ("flat:FlatCsv", "flat:FlatParquet"),
    "mot": ("mot:Mot",),
}
"""Format → its readers, one a kind of container; the first that recognises a source reads it."""


@dataclass(frozen=True)
class Recognised:
    """A format, why it is this one, and what reads it (None: the source is empty)."""

    name: str
    because: str
    reader: Any


def recognise(data: Input, options: Options, others: Mapping[str, FormatReader]) -> Recognised:
    """The format of a source. Raises InputRefused when it is unknown, ambiguous or not read yet."""
    asked = options.log_format
    if asked not in ("auto", *READERS, *LATER, *others):
        raise UnknownName("log format", asked, [*READERS, *others])
    if asked in LATER:
        raise not_yet(data.name, asked)
    if not data.head.strip():
        return Recognised("detmon" if asked == "auto" else asked, "it is empty", None)
    path = data.name
    if data.head.startswith(PARQUET):
        path = str(data.as_path())
        open_parquet(path, data.name)  # raises under the name that the user knows
    found = [
        Recognised(name, because, reader)
        for name, reader in _candidates(asked, others)
        if (because := reader.sniff(data.head, path)) is not None
    ]
    if len(found) > 1:
        names = " and ".join(one.name for one in found)
        raise InputRefused(f"{data.name}: reads as {names}", f"--log-format {found[0].name}", code="ambiguous_format")
    if found:
        return found[0]
    if asked != "auto":
        return _insisted(asked, data, others)
    if options.map:
        nested = data.head.startswith(PARQUET) or objects.container(data.head) is not None
        return _insisted("detmon" if nested else "flat", data, others)
    raise refused_by_name(data) or _unknown(data)


def _candidates(asked: str, others: Mapping[str, FormatReader]) -> Iterator[tuple[str, Any]]:
    for name in READERS:
        if asked in ("auto", name):
            yield from ((name, reader) for reader in readers_of(name))
    for name, reader in others.items():
        if asked in ("auto", name):
            yield name, reader


def readers_of(name: str) -> list[Any]:
    """The readers of a first-party format."""
    found = []
    for place in READERS[name]:
        module, _, kind = place.partition(":")
        found.append(getattr(import_module(f"detmon.formats.{module}"), kind)())
    return found


def _insisted(name: str, data: Input, others: Mapping[str, FormatReader]) -> Recognised:
    """The user names the format, though its content does not show it."""
    if name in others:
        return Recognised(name, "--log-format", others[name])
    fitting = [reader for reader in readers_of(name) if reader.fits(data.head)]
    if not fitting:
        raise InputRefused(f"{data.name} is not {name}", "--log-format auto", code="unknown_format")
    return Recognised(name, "--log-format", fitting[0])


def _unknown(data: Input) -> InputRefused:
    text = data.head[:400].decode("utf-8", "replace")[:80]
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return InputRefused(
        f"{data.name}: of no known format, it begins with: {shown}",
        "--log-format NAME, or --map FIELD=COLUMN; docs/formats",
        code="unknown_format",
        curable=False,
    )
