"""One JSON object → one canonical record, with exact reasons why not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache, reduce
from operator import add
from typing import TYPE_CHECKING, Any, NoReturn

from detmon.errors import OperationError, nearest
from detmon.formats.chunk import BOX_FIELDS, CANONICAL, RAW_KEPT, Seen
from detmon.formats.tags import pairs

if TYPE_CHECKING:
    from detmon.formats.inputs import Input

TEXTS = ("prediction_id", "model_id", "image_id", "image_uri", "source", "status")
NUMBERS = ("image_width", "image_height", "latency_ms", "confidence_floor")
MOST_UNKNOWN = 100
"""Unknown keys of a record that are told one by one: more may be names of things."""
FIRST = 20
"""Objects that are looked at to recognise a format."""


class Unusable(ValueError):
    """A record that cannot be used: `field`, `code` and `reason` of its rejection."""

    def __init__(self, field: str | None, code: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.code = code
        self.reason = reason


def parse(line: bytes | str) -> Any:
    """A JSON value; raises Unusable with the column of the mistake."""
    try:
        text = line if isinstance(line, str) else line.decode("utf-8")
        return json.loads(text.strip(), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise Unusable(None, "bad_json", f"not UTF-8 at byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise Unusable(None, "bad_json", f"not JSON at column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise Unusable(None, "bad_json", "not JSON that can be read: nested too deeply") from None
    except Unusable:
        raise
    except ValueError as error:
        raise Unusable(None, "bad_json", f"not JSON that can be read: {error}") from None


def _no_constant(name: str) -> NoReturn:
    raise Unusable(None, "bad_json", f"not JSON: {name} is not a number of JSON")


def container(head: bytes) -> str | None:
    """`object` or `array`, by the first character; None for anything that is no JSON."""
    first = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    return {b"{": "object", b"[": "array"}.get(first)


def lone_object(head: bytes) -> bool:
    """Whether the head may be one large object rather than one a line."""
    first, _, rest = head.lstrip(b"\xef\xbb\xbf \t\r\n").partition(b"\n")
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return True
    return not rest.strip()


def first_object(head: bytes) -> dict[str, Any] | None:
    """The first object among the first lines, or the first of a top-level array; None when there is none."""
    return next(iter(first_objects(head)), None)


def first_objects(head: bytes) -> list[dict[str, Any]]:
    """The objects among the first lines, or the first items of a top-level array; none when there are no such."""
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if text.startswith("["):
        return _in_a_row(text[1:])
    if not text.startswith("{"):
        return []
    found = []
    for line in text.splitlines()[:FIRST]:
        try:
            found.append(json.loads(line))
        except (ValueError, RecursionError):
            continue
    return [one for one in found if isinstance(one, dict)] or _in_a_row(text)


def _in_a_row(text: str) -> list[dict[str, Any]]:
    """The objects at the beginning of a text, commas between them."""
    found: list[dict[str, Any]] = []
    place = _skip(text, 0, " \t\r\n")
    while len(found) < FIRST:
        try:
            one, place = json.JSONDecoder().raw_decode(text, place)
        except (ValueError, RecursionError):
            break
        if not isinstance(one, dict):
            break
        found.append(one)
        place = _skip(text, place, " \t\r\n,")
    return found


def array_items(source: Input) -> Iterator[tuple[int, Any, str]]:
    """The items of a top-level JSON array with their numbers (from 1) and text, in bounded memory.

    Raises OperationError where the array breaks off: what follows cannot be told apart.
    """
    decoder = json.JSONDecoder()
    buffer, place, number, opened = "", 0, 0, False
    with source.text() as stream:
        while True:
            block = stream.read(1 << 20)
            buffer, place = buffer[place:] + block, 0
            while True:
                place = _skip(buffer, place, " \t\r\n," if opened else " \t\r\n")
                if place >= len(buffer):
                    break
                if not opened:
                    place, opened = place + 1, True
                    continue
                if buffer[place] == "]":
                    return
                try:
                    found, end = decoder.raw_decode(buffer, place)
                except (ValueError, RecursionError):
                    break
                if end == len(buffer) and block:
                    break  # a number may go on
                number += 1
                yield number, found, buffer[place : min(end, place + RAW_KEPT)]
                place = end
            if not block or len(buffer) - place > 64 << 20:
                raise OperationError(
                    f"{source.name}: the JSON array is cut off or damaged after item {number}", code="unreadable"
                )


def _skip(text: str, place: int, chars: str) -> int:
    while place < len(text) and text[place] in chars:
        place += 1
    return place


def notice(found: Mapping[str, Any], seen: list[Seen], known: frozenset[str] = frozenset(CANONICAL)) -> None:
    """Count unknown keys and tags that are not text."""
    unknown = found.keys() - known
    if len(unknown) > MOST_UNKNOWN:
        seen.append(Seen("unknown_field", "{n} keys of records with very many are not fields", len(unknown)))
    else:
        seen += [Seen("unknown_field", _no_field(key, known)) for key in unknown]
    tags = found.get("tags")
    if isinstance(tags, dict):
        pairs(tags, seen)


@lru_cache(10_000)
def _no_field(key: str, known: frozenset[str]) -> str:
    alike = nearest(key, known)
    return f"`{key[:80]}` is not a field{f' (did you mean `{alike}`?)' if alike else ''}"


def record(found: Any, mapping: Mapping[str, str], seen: list[Seen]) -> dict[str, Any]:
    """The canonical record in an object; raises Unusable. `mapping`: field → dotted path in the object."""
    if not isinstance(found, dict):
        raise Unusable(None, "bad_json", f"not an object but {_kind(found)}")
    if mapping:
        found = mapped(found, mapping)
    else:
        unknown = found.keys() - CANONICAL
        if unknown:
            notice(dict.fromkeys(unknown), seen)
    row: dict[str, Any] = {name: text(found.get(name), name) for name in TEXTS}
    row.update((name, number(found.get(name), name)) for name in NUMBERS)
    row["timestamp"] = _time(found.get("timestamp"))
    row["tags"] = _tags(found.get("tags"), seen)
    row["detections"] = _detections(found.get("detections"))
    return row


def mapped(found: Mapping[str, Any], mapping: Mapping[str, str]) -> dict[str, Any]:
    """The object with its fields under canonical names."""
    row = {name: found[name] for name in CANONICAL if name in found}
    inner: dict[str, str] = {}
    for field, path in mapping.items():
        if field.startswith("detections."):
            inner[field.removeprefix("detections.")] = path
        else:
            row[field] = value(found, path)
    boxes = row.get("detections")
    if inner and isinstance(boxes, list):
        row["detections"] = [_mapped_box(box, inner) if isinstance(box, dict) else box for box in boxes]
    return row


def _mapped_box(box: Mapping[str, Any], inner: Mapping[str, str]) -> dict[str, Any]:
    found = {name: box[name] for name in BOX_FIELDS if name in box}
    for field, path in inner.items():
        if "," in path:
            sides = [at(box, part) for part in path.split(",")]
            found[field] = None if all(side is None for side in sides) else sides
        else:
            found[field] = value(box, path)
    return found


def value(found: Any, path: str) -> Any:
    """The value at a path, or the sum of those at several (`a+b`)."""
    if "+" not in path or (isinstance(found, Mapping) and path in found):
        return at(found, path)
    parts = [at(found, part) for part in path.split("+")]
    odd = [part for part in parts if isinstance(part, bool) or not isinstance(part, (int, float))]
    try:
        return odd[0] if odd else reduce(add, map(float, parts))
    except OverflowError:
        return max(parts, key=abs)  # too large by itself, as its field will say


def at(found: Any, path: str) -> Any:
    """The value at a dotted path; None where there is none. A key that holds the whole path wins."""
    if isinstance(found, Mapping) and path in found:
        return found[path]
    for part in path.split("."):
        if isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "text"
    if isinstance(value, (int, float)):
        return "a number"
    return "null" if value is None else "a list" if isinstance(value, list) else "an object"


def _wrong(value: Any, name: str) -> Unusable:
    return Unusable(name, "wrong_type", f"`{name}` is {_kind(value)}")


def text(value: Any, name: str) -> str | None:
    """A text field; whole numbers are taken as text."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise _wrong(value, name)
    return _encodable(value, name)


def _encodable(value: str, name: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unusable(name, "bad_text", f"`{name}` has half of a surrogate pair") from None
    return value


def number(value: Any, name: str) -> float | None:
    """A number field."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(value, name)
    try:
        return float(value)
    except OverflowError:
        raise Unusable(name, "wrong_type", f"`{name}` is a number too large") from None


def _time(value: Any) -> str | None:
    if isinstance(value, (bool, list, dict)):
        raise _wrong(value, "timestamp")
    return None if value is None else _encodable(str(value), "timestamp")


def _tags(value: Any, seen: list[Seen]) -> Any:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise _wrong(value, "tags")
    found = pairs(value, seen)
    for text in (part for pair in found for part in pair):
        _encodable(text, "tags")
    return found


def _detections(value: Any) -> list[dict[str, Any]] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise _wrong(value, "detections")
    return [_detection(box) for box in value]


def _detection(box: Any) -> dict[str, Any]:
    if not isinstance(box, dict):
        raise Unusable("detections", "wrong_type", f"a detection is {_kind(box)}")
    return {
        "label": text(box.get("label"), "label"),
        "confidence": number(box.get("confidence"), "confidence"),
        "bbox": bbox(box.get("bbox")),
        "detection_id": text(box.get("detection_id"), "detection_id"),
        "track_id": text(box.get("track_id"), "track_id"),
    }


def bbox(value: Any) -> list[float] | None:
    """A box: a list of four numbers, or an object {x, y, w, h}."""
    if value is None:
        return None
    if isinstance(value, dict):
        value = [value.get(side) for side in (("x", "y", "w", "h") if "w" in value else ("x", "y", "width", "height"))]
    if not isinstance(value, list):
        raise _wrong(value, "bbox")
    if len(value) != 4:
        raise Unusable("bbox", "bad_box", f"`bbox` has {len(value)} numbers, not 4")
    numbers = [number(side, "bbox") for side in value]
    if any(side is None for side in numbers):
        raise Unusable("bbox", "bad_box", "`bbox` has an empty side")
    return numbers  # type: ignore[return-value]
