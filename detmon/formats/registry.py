"""The formats detmon knows, and how a source is recognised: by content, never by its name alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from detmon.errors import DetmonError, InputRefused, OperationError, UnknownName
from detmon.formats import objects
from detmon.formats.contract import Options, Source
from detmon.formats.inputs import PARQUET, Input
from detmon.formats.parquet import open_parquet
from detmon.formats.refused import LATER, ONE_AN_IMAGE, labelled_words, not_yet, refused_by_name
from detmon.formats.savetxt import OUTLINES

if TYPE_CHECKING:
    from detmon.hookspecs import AnyReader

    Readers = Mapping[str, Sequence[AnyReader]]


@dataclass(frozen=True)
class Recognised:
    """A format, why it is this one, and what reads it (None: the source is empty)."""

    name: str
    because: str
    reader: Any


def recognise(data: Input, options: Options, readers: Readers) -> Recognised:
    """The format of a source. Raises InputRefused when it is unknown, ambiguous or not read yet."""
    asked = options.log_format
    if asked not in ("auto", *readers, *LATER):
        raise UnknownName("log format", asked, list(readers))
    if asked in LATER and asked not in readers:
        raise not_yet(data.name, asked)
    if not data.head.strip():
        return Recognised("detmon" if asked == "auto" else asked, "it is empty", None)
    if asked == "auto" and objects.container(data.head) and any(name.startswith("detections") for name in options.map):
        return _insisted("detmon", data, readers, "--map")  # whose boxes are where the user says is home-made
    path = data.name
    if data.head.startswith(PARQUET):
        path = str(data.as_path())
        open_parquet(path, data.name)  # raises under the name that the user knows
    found, failed = _sniffed(data.head, path, readers if asked == "auto" else {asked: readers[asked]})
    nested = data.head.startswith(PARQUET) or objects.container(data.head) is not None
    if asked == "auto" and not nested:
        found = [one for one in found if not unmappable(one.reader, options)]
    if len(found) > 1:
        names = " and ".join(one.name for one in found)
        raise InputRefused(f"{data.name}: reads as {names}", f"--log-format {found[0].name}", code="ambiguous_format")
    if found:
        return found[0]
    if asked != "auto":
        return _insisted(asked, data, readers)
    if options.map:
        return _insisted("detmon" if nested else "flat", data, readers, "--map")
    raise refused_by_name(data) or failed or _unknown(data)


def _sniffed(head: bytes, path: str, readers: Readers) -> tuple[list[Recognised], OperationError | None]:
    """What takes a source for its own, and the error of a reader that could not look at it."""
    found, failed = [], None
    for name in readers:
        for reader in readers_of(name, readers):
            try:
                because = reader.sniff(head, path)
            except DetmonError:
                raise
            except Exception as error:
                failed = reader_failed(path, name, error)
                continue
            if because is not None:
                found.append(Recognised(name, because, reader))
    return found, failed


def is_per_image(source: Source, options: Options, readers: Readers) -> bool:
    """Whether a file, and so its likes in the same folder, is of one image. Raises what recognition raises."""
    if options.image_is_file:
        return True
    data = Input(source)
    try:
        return bool(getattr(recognise(data, options, readers).reader, "per_image", False))
    except InputRefused as refused:
        return refused.code in (ONE_AN_IMAGE, OUTLINES) or bool(labelled_words(data))
    finally:
        data.close()


def reader_failed(path: str, name: str, error: Exception) -> OperationError:
    """The error of a log whose reader has a mistake in itself."""
    what = f"{path}: the reader of {name} failed: {type(error).__name__}: {error}"
    return OperationError(what, "`detmon plugins` says whose it is", code="reader_failed")


def readers_of(name: str, readers: Readers) -> list[Any]:
    """The readers of a format, ready for one source."""
    return [_made(name, reader) for reader in readers[name]]


def _made(name: str, reader: AnyReader) -> Any:
    found: Any = reader
    if isinstance(reader, str):
        module, _, attribute = reader.partition(":")
        try:
            found = getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise OperationError(f"the reader of {name} does not load: {error}", code="reader_failed") from None
    return found if hasattr(found, "sniff") and not isinstance(found, type) else found()


def unmappable(reader: Any, options: Options) -> list[str]:
    """The fields of the map that a reader would not look up."""
    may_map = getattr(reader, "may_map", None)
    return [] if may_map is None else [name for name in options.map if name not in may_map]


def _insisted(name: str, data: Input, readers: Readers, because: str = "--log-format") -> Recognised:
    """The user names the format, or maps its fields, though its content does not show it."""
    for reader in readers_of(name, readers):
        fits = getattr(reader, "fits", None)
        if fits is None or fits(data.head):
            return Recognised(name, because, reader)
    raise InputRefused(f"{data.name} is not {name}", "--log-format auto", code="unknown_format")


def _unknown(data: Input) -> InputRefused:
    text = data.head[:400].decode("utf-8", "replace")[:80]
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return InputRefused(
        f"{data.name}: of no known format, it begins with: {shown}",
        "--log-format NAME, or --map FIELD=COLUMN; docs/formats",
        code="unknown_format",
        curable=False,
    )
