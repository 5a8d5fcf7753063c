"""Fields at dotted paths of JSON objects: the map, and the formats that are a map.

DuckDB reads each value as the JSON text it is, so that texts, numbers and everything else stay apart; what is not
plainly the one or the other is left to `objects.record`, line by line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from detmon.formats import objects
from detmon.formats.chunk import BOX_FIELDS, CANONICAL, Seen
from detmon.formats.objectlines import Query

if TYPE_CHECKING:
    import pyarrow as pa

JSON = "JSON"
TAGS = "MAP(VARCHAR, JSON)"
WHOLE = r"^-?[0-9]+$"
PLAIN = r"^-?[0-9]+(\.[0-9]+)?$"
Tree = dict[str, Any]
"""The keys of an object; what is below each: a tree, or the type to read there."""
Convert = Callable[[dict[str, Any], list[Seen]], dict[str, Any] | None]


class Odd(Exception):
    """Something that must be read line by line."""


class Mapped:
    """Records whose fields are at paths: `mapping` has field → path, beside the fields under their own names.

    `convert` puts an object right before the paths are looked up, or leaves it out (None), which is seen line by line
    only: where boxes have a value at `rare`, where DuckDB does not find the types it looks for, or always (`odd`).
    """

    joins = False

    def __init__(
        self, mapping: Mapping[str, str], convert: Convert | None = None, *, rare: str | None = None, odd: bool = False
    ) -> None:
        self.mapping = dict(mapping)
        self.odd = odd
        self._convert = convert
        self._fields = {name: name for name in CANONICAL} | _fields(mapping)
        self._box = {name: name for name in BOX_FIELDS} | _box_fields(mapping)
        self._rare = rare
        self._bbox = f"{JSON}[]"

    def peek(self, lines: list[bytes], seen: list[Seen]) -> None:
        """How boxes are written; whether there is what is rare."""
        for line in lines:
            try:
                self._look(objects.parse(line))
            except objects.Unusable:
                continue

    def narrow(self) -> None:
        """Parts are read as the whole is."""

    def record(self, found: Any, seen: list[Seen]) -> dict[str, Any] | None:
        """One object."""
        if self._convert is not None and isinstance(found, dict):
            found = self._convert(found, seen)
            if found is None:
                return None
        return objects.record(found, self.mapping, seen)

    def table(self, query: Query, data: bytes) -> pa.Table | None:
        """Lines in canonical raw columns."""
        if self._has_dotted_keys(data):
            return None
        import pyarrow as pa

        try:
            read = query(self._columns())
            return self._table({name: whole(read[name]) for name in read.column_names})
        except (Odd, pa.ArrowException):
            return None

    def _look(self, found: Any) -> None:
        boxes = objects.at(found, self._fields["detections"])
        for box in boxes if isinstance(boxes, list) else ():
            written = objects.at(box, self._box["bbox"])
            if isinstance(written, dict):
                sides = ("x", "y", "w", "h") if "w" in written else ("x", "y", "width", "height")
                self._bbox = _struct(dict.fromkeys(sides, JSON))
            self.odd |= self._rare is not None and objects.at(box, self._rare) is not None

    def _has_dotted_keys(self, data: bytes) -> bool:
        """Whether a key may hold a whole path: then it wins over the path."""
        paths = [*self._fields.values(), *self._box.values()]
        parts = [part for path in paths for part in path.split(",")]
        starts = {f'"{part.split(".")[0]}.' for part in parts if "." in part}
        starts |= {f'"{part}"' for part in parts if "+" in part}
        return any(start.encode() in data for start in starts)

    def _columns(self) -> dict[str, str]:
        """What DuckDB reads, with types."""
        inner: Tree = {}
        for name, path in self._box.items():
            for part in _parts(path):
                _plant(inner, part, self._bbox if name == "bbox" and path == part else JSON)
        if self._rare is not None:
            _plant(inner, self._rare, JSON)
        tree: Tree = {}
        for name, path in self._fields.items():
            kinds = {"tags": TAGS, "detections": f"{_struct(inner)}[]"}
            for part in _parts(path):
                _plant(tree, part, kinds.get(name, JSON))
        return {name: kind if isinstance(kind, str) else _type(kind) for name, kind in tree.items()}

    def _table(self, read: Mapping[str, Any]) -> pa.Table:
        import pyarrow as pa

        made: dict[str, Any] = {}
        for name, path in self._fields.items():
            if name == "detections":
                made[name] = self._detections(_at(read, path))
            elif name == "tags":
                made[name] = tags(_at(read, path))
            elif name in objects.NUMBERS:
                made[name] = _sum(read, path)
            else:
                made[name] = texts(_at(read, path), PLAIN if name == "timestamp" else WHOLE)
        return pa.table(made)

    def _detections(self, lists: Any) -> Any:
        import pyarrow as pa

        structs = lists.flatten()
        if structs.null_count:
            raise Odd
        read = dict(zip((field.name for field in structs.type), structs.flatten(), strict=True))
        if self._rare is not None and (rare := _at(read, self._rare)).null_count < len(rare):
            raise Odd
        made = {
            name: texts(_at(read, path), WHOLE)
            for name, path in self._box.items()
            if name not in ("confidence", "bbox")
        }
        made["confidence"] = _sum(read, self._box["confidence"])
        made["bbox"] = _bbox(read, self._box["bbox"])
        return listed(lists, pa.StructArray.from_arrays(list(made.values()), list(made)))


def _fields(mapping: Mapping[str, str]) -> dict[str, str]:
    return {name: path for name, path in mapping.items() if not name.startswith("detections.")}


def _box_fields(mapping: Mapping[str, str]) -> dict[str, str]:
    inner = "detections."
    return {name.removeprefix(inner): path for name, path in mapping.items() if name.startswith(inner)}


def _parts(path: str) -> list[str]:
    return [part for side in path.split(",") for part in side.split("+")]


def _plant(tree: Tree, path: str, kind: str) -> None:
    """Put a path into the tree; Odd when another path needs something else there."""
    *way, last = path.split(".")
    for part in way:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise Odd
    if tree.setdefault(last, kind) != kind:
        raise Odd


def _type(tree: Tree) -> str:
    if not all(key.isdecimal() for key in tree):
        return _struct(tree)
    if set(tree.values()) != {JSON}:
        raise Odd
    return f"{JSON}[]"


def _struct(tree: Tree) -> str:
    kinds = {key: kind if isinstance(kind, str) else _type(kind) for key, kind in tree.items()}
    fields = ", ".join('"' + key.replace('"', '""') + '" ' + kind for key, kind in kinds.items())
    return f"STRUCT({fields})"


def whole(column: Any) -> Any:
    """A column as one array."""
    import pyarrow as pa

    found = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if isinstance(found, pa.ChunkedArray):
        found = pa.concat_arrays(found.chunks) if found.num_chunks else pa.array([], found.type)
    return found.storage if isinstance(found, pa.ExtensionArray) else found


def _at(read: Mapping[str, Any], path: str) -> Any:
    import pyarrow.compute as pc

    first, *rest = path.split(".")
    found = read[first]
    for part in rest:
        found = pc.list_element(found, int(part)) if part.isdecimal() else pc.struct_field(found, [part])
    return found


def texts(column: Any, numeral: str) -> Any:
    """JSON texts as text; numbers that match `numeral` are taken as text. Odd for anything else, and for escapes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.null_count == len(column):
        return pa.nulls(len(column), pa.string())
    quoted = pc.starts_with(column, '"')
    if pc.any(pc.match_substring(column, "\\")).as_py():
        raise Odd
    inside = pc.utf8_slice_codeunits(column, 1, -1)
    if pc.all(quoted).as_py():
        return inside
    if not pc.all(pc.or_(quoted, pc.match_substring_regex(column, numeral))).as_py():
        raise Odd
    return pc.if_else(quoted, inside, column)


def numbers(column: Any) -> Any:
    """JSON numbers as float64; Odd (or an error of Arrow) for anything else."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = column.cast(pa.float64())
    total = pc.sum(found).as_py()
    if total is not None and not abs(total) < float("inf"):
        raise Odd
    return found


def _sum(read: Mapping[str, Any], path: str) -> Any:
    """A number, or the sum of several (`a+b`)."""
    import pyarrow.compute as pc

    first, *rest = (numbers(_at(read, part)) for part in path.split("+"))
    for other in rest:
        first = pc.add(first, other)
    return first


def tags(column: Any) -> Any:
    """Tags as map<text, text>; Odd where a value is no text."""
    import pyarrow as pa

    if column.null_count == len(column):
        return pa.nulls(len(column), pa.map_(pa.string(), pa.string()))
    if column.items.null_count:
        raise Odd
    items = texts(column.items, "^$")
    return pa.MapArray.from_arrays(column.offsets, column.keys, items, mask=column.is_null())


def _bbox(read: Mapping[str, Any], path: str) -> Any:
    """Boxes as lists of four numbers, null where there is none; Odd where a part of one is missing."""
    import numpy as np
    import pyarrow as pa

    if "," in path:
        sides = [_at(read, part) for part in path.split(",")]
        missing = sides[0].is_null()
    else:
        written = _at(read, path)
        missing = written.is_null()
        if pa.types.is_struct(written.type):
            sides = written.flatten()
        else:
            return four(written)
    if len(sides) != 4 or any(not side.is_null().equals(missing) for side in sides):
        raise Odd
    there = np.stack([numbers(side).to_numpy(zero_copy_only=False) for side in sides], axis=1)
    kept = ~missing.to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(4 * kept)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(there[kept].ravel()), mask=missing)


def four(lists: Any) -> Any:
    """Lists of JSON as lists of four numbers; Odd where one has more or fewer."""
    import pyarrow.compute as pc

    values = numbers(lists.flatten())
    if values.null_count or pc.any(pc.not_equal(pc.list_value_length(lists), 4)).as_py():
        raise Odd
    return listed(lists, values)


def listed(like: Any, values: Any) -> Any:
    """`values` in lists as long as those of `like`, null where they are null."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    counts = pc.list_value_length(like).fill_null(0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, values, mask=like.is_null() if like.null_count else None)
