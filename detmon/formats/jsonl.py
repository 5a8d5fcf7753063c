"""Canonical records as JSON: one object a line, or the items of one array; home-made objects through the map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detmon.formats import lineshape, objects
from detmon.formats.chunk import Seen
from detmon.formats.contract import Options
from detmon.formats.lineshape import Shape
from detmon.formats.objectlines import Form, ObjectLog, Query
from detmon.formats.paths import Mapped

if TYPE_CHECKING:
    import pyarrow as pa


class JsonObjects(ObjectLog):
    """Canonical records, and others through the map."""

    because = "`image_id` and a list `detections`"

    def recognises(self, found: list[dict[str, Any]]) -> bool:
        """An image id and a list of detections in the first."""
        return isinstance(found[0].get("detections"), list) and "image_id" in found[0]

    def form(self, options: Options) -> Form:
        """The canonical one, or the map's."""
        return Mapped(options.map) if options.map else Canonical()


class Canonical:
    """Records under their own names. DuckDB reads the fields that were seen; quotes tell when there are others."""

    joins = True
    odd = False

    def __init__(self) -> None:
        self.shape = Shape()

    def peek(self, lines: list[bytes], seen: list[Seen]) -> None:
        """Unknown keys, odd types, odd tags, how boxes are written."""
        self.shape.spaced = any(b'": ' in line for line in lines)
        for line in lines:
            try:
                self.record(objects.parse(line), seen)
            except objects.Unusable as fault:
                self.odd |= fault.code == "wrong_type"

    def narrow(self) -> None:
        """The parts are joined: all of them need all fields."""
        self.shape.whole = True

    def table(self, query: Query, data: bytes) -> pa.Table | None:
        """What DuckDB reads; None when it may have taken a text for a number, or something else for a text."""
        table = query(self.shape.columns())
        strict = lineshape.strictly(table, data, self.shape)
        if strict is None:
            self.shape.whole = True
            table = query(self.shape.columns())
            strict = lineshape.strictly(table, data, self.shape)
        lost = not strict or lineshape.lost_types(table) or lineshape.truths_as_numbers(table, data)
        return None if lost else table

    def record(self, found: Any, seen: list[Seen]) -> dict[str, Any]:
        """One object."""
        record = objects.record(found, {}, seen)
        self.shape.look(found)
        self.joins = not self.shape.sides
        return record
