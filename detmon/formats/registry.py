"""The formats detmon knows, and how a source is recognised: by content, never by its name alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from detmon.errors import InputRefused, UnknownName
from detmon.formats.contract import Options
from detmon.formats.inputs import PARQUET, Input

if TYPE_CHECKING:
    from detmon.hookspecs import FormatReader

READERS = {
    "detmon": ("jsonl:JsonLines", "parquet:Parquet"),
}
"""Format → its readers, one a kind of container; the first that recognises a source reads it."""
LATER = (
    "roboflow", "torchvision", "ultralytics-json", "open-inference", "frigate", "ultralytics-val", "supervision-json",
    "supervision-csv", "ultralytics-txt", "kserve",
)  # fmt: skip
"""Formats that are known by name, and not read yet."""


@dataclass(frozen=True)
class Recognised:
    """A format, why it is this one, and what reads it (None: the source is empty)."""

    name: str
    because: str
    reader: Any
    denominator: str = "unknown"
    layout: str = "xywh"
    mapping: Mapping[str, str] = field(default_factory=dict)


def recognise(data: Input, options: Options, others: Mapping[str, FormatReader]) -> Recognised:
    """The format of a source. Raises InputRefused when it is unknown, ambiguous or not read yet."""
    asked = options.log_format
    if asked not in ("auto", *READERS, *LATER, *others):
        raise UnknownName("log format", asked, [*READERS, *others])
    if asked in LATER:
        raise not_yet(data.name, asked)
    if not data.head.strip():
        return Recognised("detmon" if asked == "auto" else asked, "it is empty", None, "known")
    path = str(data.as_path()) if data.head.startswith(PARQUET) else data.name
    found = [
        _recognised(name, reader, because)
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
    raise _unknown(data)


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


def _recognised(name: str, reader: Any, because: str) -> Recognised:
    return Recognised(
        name,
        because,
        reader,
        getattr(reader, "denominator", "unknown"),
        getattr(reader, "layout", "xywh"),
        getattr(reader, "mapping", {}),
    )


def _insisted(name: str, data: Input, others: Mapping[str, FormatReader]) -> Recognised:
    """The user names the format, though its content does not show it."""
    if name in others:
        return _recognised(name, others[name], "--log-format")
    readers = readers_of(name)
    is_parquet = data.head.startswith(PARQUET)
    fitting = [reader for reader in readers if ("Parquet" in type(reader).__name__) == is_parquet]
    if not fitting:
        raise InputRefused(f"{data.name} is not {name}", "--log-format auto", code="unknown_format")
    return _recognised(name, fitting[0], "--log-format")


def not_yet(name: str, format: str) -> InputRefused:
    """The refusal of a format that is not read yet."""
    return InputRefused(
        f"{name}: {format} is not supported yet", "convert to JSON Lines, docs/formats", code="not_supported"
    )


def _unknown(data: Input) -> InputRefused:
    text = data.head[:400].decode("utf-8", "replace")[:80]
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return InputRefused(
        f"{data.name}: of no known format, it begins with: {shown}",
        "--log-format NAME, or --map FIELD=COLUMN; docs/formats",
        code="unknown_format",
        curable=False,
    )
