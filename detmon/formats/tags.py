"""Tags in their many shapes → pairs of text."""

from __future__ import annotations

import json
import re
from itertools import chain
from typing import TYPE_CHECKING, Any

from detmon.formats.chunk import Seen

if TYPE_CHECKING:
    import pyarrow as pa

    from detmon.formats.frame import Faults

Pairs = list[tuple[str, str]]
HALF = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair: no text can hold it."""


def pairs(tags: dict[str, Any], seen: list[Seen]) -> Pairs:
    """The tags of one record, without those that are null; a value that is not text is written as JSON text."""
    found = []
    for key, value in tags.items():
        if value is None:
            continue
        if not isinstance(value, str):
            value = json.dumps(value, ensure_ascii=False, default=str)
            seen.append(Seen("tag_type", "{n} tags are not text: written as JSON text"))
        found.append((key, value))
    return found


def tags_of_struct(column: pa.Array, seen: list[Seen]) -> pa.Array:
    """A struct column: its fields are the keys."""
    return _maps([None if row is None else pairs(row, seen) for row in column.to_pylist()])


def tags_of_text(column: pa.Array, faults: Faults, seen: list[Seen]) -> pa.Array:
    """A column of JSON text: an object each."""
    rows: list[Pairs | None] = []
    for place, text in enumerate(column.to_pylist()):
        found = _object(text)
        said = None if found is None else pairs(found, seen)
        if found is None and text:
            faults.add([place], "tags", "wrong_type", "`tags` is text, and not a JSON object")
        elif said and "\\u" in text and HALF.search("".join(chain.from_iterable(said))):
            faults.add([place], "tags", "bad_text", "`tags` has half of a surrogate pair")
            said = None
        rows.append(said)
    return _maps(rows)


def _object(text: str | None) -> dict[str, Any] | None:
    try:
        found = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _maps(rows: list[Pairs | None]) -> pa.Array:
    import pyarrow as pa

    return pa.array(rows, pa.map_(pa.string(), pa.string()))
