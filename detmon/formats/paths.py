"""Fields at dotted paths of JSON objects: the map, and the formats that are a map.

DuckDB reads texts as the JSON they are written in, so that they and everything else stay apart. Numbers are read as
numbers, and only the keys that were seen at all, as long as quotes tell that nothing else is there: those of the lines
are all accounted for by what was read. Where they are not, all fields are read, and numbers as JSON too; what is not
plainly the one or the other then is left to `objects.record`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from detmon.formats import objects
from detmon.formats.chunk import BOX_FIELDS, CANONICAL, Seen
from detmon.formats.lineshape import QUOTE, count, nulls, truths, zero_or_one
from detmon.formats.objectlines import Query

if TYPE_CHECKING:
    import pyarrow as pa

JSON = "JSON"
NUMBER = "DOUBLE"
TAGS = "MAP(VARCHAR, JSON)"
WHOLE = r"^-?[0-9]+$"
PLAIN = r"^-?[0-9]+(\.[0-9]+)?$"
PATIENCE = 3
"""Chunks with unknown keys after which numbers are no longer tried as numbers."""
OTHERS = 100
"""Keys that are no fields, of which more are not read only to be counted: they may be names of things."""
Tree = dict[str, Any]
"""The keys of an object; what is below each: a tree, or the type to read there."""
Key = tuple[str, ...]
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
        self._sides: tuple[str, ...] = ()
        self._present: set[str] = set()
        self._others: set[Key] = set()
        self._box_others: set[Key] = set()
        self._spaced = False
        self._missed = 0

    def peek(self, lines: list[bytes], seen: list[Seen]) -> None:
        """How boxes are written; which keys there are beside the fields; whether there is what is rare."""
        self._spaced = any(b'": ' in line for line in lines)
        trees = self._trees(JSON)
        for line in lines if trees else ():
            try:
                self._look(objects.parse(line), *trees)  # type: ignore[misc]
            except objects.Unusable:
                continue
        if len(self._others) + len(self._box_others) > OTHERS:
            self._missed = PATIENCE

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
        if self._missed < PATIENCE:
            found = self._tried(query, data, NUMBER)
            if found is not None:
                return found
            self._missed += 1
        return None if self._has_dotted_keys(data) else self._tried(query, data, JSON)

    def _tried(self, query: Query, data: bytes, number: str) -> pa.Table | None:
        import duckdb
        import pyarrow as pa

        trees = self._trees(number)
        if trees is None:
            return None
        try:
            table = query(self._columns(*trees))
            read = {name: whole(table[name]) for name in table.column_names}
            if number == NUMBER and not self._accounted(read, data):
                return None
            return self._table(read)
        except (Odd, pa.ArrowException, duckdb.Error, UnicodeDecodeError, RuntimeError):
            return None

    def _trees(self, number: str) -> tuple[Tree, Tree] | None:
        """What to read of a record and of a box; None when two paths contradict each other."""
        tree: Tree = {}
        inner: Tree = {}
        numeric = (*objects.NUMBERS, "confidence", "bbox")
        try:
            for fields, into in ((self._fields, tree), (self._box, inner)):
                for name, path in fields.items():
                    if number == NUMBER and path not in self._present:
                        continue
                    kind = {"tags": TAGS, "detections": "[]"}.get(name, number if name in numeric else JSON)
                    for part in _parts(path):
                        written = self._bbox_kind(kind) if name == "bbox" and part == path else kind
                        _plant(into, tuple(part.split(".")), written)
            if self._rare is not None and number == JSON:
                _plant(inner, tuple(self._rare.split(".")), JSON)
        except Odd:
            return None
        return tree, inner

    def _bbox_kind(self, number: str) -> str:
        return _struct(dict.fromkeys(self._sides, number)) if self._sides else f"{number}[]"

    def _columns(self, tree: Tree, inner: Tree) -> dict[str, str]:
        """What DuckDB reads, with types. Other keys are read where their quotes are counted."""
        if self._missed < PATIENCE:
            for key in self._others:
                _plant(tree, key, JSON)
            for key in self._box_others:
                _plant(inner, key, JSON)
        box = f"{_struct(inner)}[]"
        return {name: box if kind == "[]" else _type(kind, box) for name, kind in tree.items()}

    def _accounted(self, read: Mapping[str, Any], data: bytes) -> bool:
        """Whether all quotes of the lines are of keys and texts that were read, and no truth value was."""
        missing = count(data, QUOTE) - sum(2 * filled(column) + quotes(column) for column in read.values())
        if missing and (missing < 0 or missing != 2 * nulls(data, self._spaced)):
            return False
        return not (any(map(zero_or_one, read.values())) and truths(data))

    def _look(self, found: Any, tree: Tree, inner: Tree) -> None:
        if not isinstance(found, dict):
            return
        self._learn(found, tree, self._fields, self._others)
        boxes = objects.at(found, self._fields.get("detections", ""))
        for box in boxes if isinstance(boxes, list) else ():
            if not isinstance(box, dict):
                continue
            self._learn(box, inner, self._box, self._box_others)
            written = objects.at(box, self._box["bbox"])
            if isinstance(written, dict):
                self._sides = ("x", "y", "w", "h") if "w" in written else ("x", "y", "width", "height")
            self.odd |= self._rare is not None and objects.at(box, self._rare) is not None

    def _learn(self, found: dict[str, Any], tree: Tree, fields: Mapping[str, str], others: set[Key]) -> None:
        for path in fields.values():
            if any(objects.at(found, part) is not None for part in _parts(path)):
                self._present.add(path)
            self.odd |= any(part in found and part not in tree for part in (path, *path.split(",")))
        others |= set(_others(found, tree))

    def _has_dotted_keys(self, data: bytes) -> bool:
        """Whether a key may hold a whole path: then it wins over the path."""
        paths = [*self._fields.values(), *self._box.values()]
        parts = [part for path in paths for part in path.split(",")]
        starts = {f'"{part.split(".")[0]}.' for part in parts if "." in part}
        starts |= {f'"{part}"' for part in parts if "+" in part}
        return any(start.encode() in data for start in starts)

    def _table(self, read: Mapping[str, Any]) -> pa.Table:
        import pyarrow as pa

        made: dict[str, Any] = {}
        n = len(next(iter(read.values())))
        for name, path in self._fields.items():
            if name == "detections":
                made[name] = self._detections(_at(read, path, n))
            elif name == "tags":
                made[name] = tags(_at(read, path, n))
            elif name in objects.NUMBERS:
                made[name] = _sum(read, path, n)
            else:
                made[name] = texts(_at(read, path, n), PLAIN if name == "timestamp" else WHOLE)
        return pa.table(made)

    def _detections(self, lists: Any) -> Any:
        import pyarrow as pa

        if pa.types.is_null(lists.type):
            return lists
        structs = lists.flatten()
        if structs.null_count:
            raise Odd
        n = len(structs)
        read = dict(zip((field.name for field in structs.type), structs.flatten(), strict=True))
        if self._rare is not None and filled(_at(read, self._rare, n)):
            raise Odd
        made = {
            name: labels(_at(read, path, n)) if name == "label" else texts(_at(read, path, n), WHOLE)
            for name, path in self._box.items()
            if name not in ("confidence", "bbox")
        }
        made["confidence"] = _sum(read, self._box["confidence"], n)
        made["bbox"] = _bbox(read, self._box["bbox"], n)
        return listed(lists, pa.StructArray.from_arrays(list(made.values()), list(made)))


def _fields(mapping: Mapping[str, str]) -> dict[str, str]:
    return {name: path for name, path in mapping.items() if not name.startswith("detections.")}


def _box_fields(mapping: Mapping[str, str]) -> dict[str, str]:
    inner = "detections."
    return {name.removeprefix(inner): path for name, path in mapping.items() if name.startswith(inner)}


def _parts(path: str) -> list[str]:
    return [part for side in path.split(",") for part in side.split("+")]


def _plant(tree: Tree, path: Key, kind: str) -> None:
    """Put a path into the tree; Odd when another path needs something else there."""
    *way, last = path
    for part in way:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise Odd
    if tree.setdefault(last, kind) != kind:
        raise Odd


def _others(found: Mapping[str, Any], tree: Tree, above: Key = ()) -> Iterator[Key]:
    """The keys of an object that are not in the tree."""
    for key, value in found.items():
        below = tree.get(key)
        if below is None:
            yield (*above, key)
        elif isinstance(below, dict) and isinstance(value, dict):
            yield from _others(value, below, (*above, key))


def _type(kind: str | Tree, box: str = "") -> str:
    """The type of a value; `box`: of the list of boxes, whose place is `[]`."""
    if isinstance(kind, str):
        return box if kind == "[]" else kind
    if not all(key.isdecimal() for key in kind):
        return _struct(kind, box)
    kinds = {_type(below) for below in kind.values()}
    if len(kinds) > 1:
        raise Odd
    return f"{kinds.pop()}[]"


def _struct(tree: Tree, box: str = "") -> str:
    fields = ", ".join('"' + key.replace('"', '""') + '" ' + _type(kind, box) for key, kind in tree.items())
    return f"STRUCT({fields})"


def quotes(column: Any) -> int:
    """The quotes of what is in a column: of keys whose values are not null, and of texts."""
    import numpy as np
    import pyarrow as pa

    kind = column.type
    if pa.types.is_struct(kind):
        return sum(2 * filled(part) + quotes(part) for part in column.flatten())
    if pa.types.is_map(kind):
        return 2 * len(column.keys) + quotes(column.items)
    if pa.types.is_list(kind):
        return quotes(column.flatten())
    if not pa.types.is_string(kind) or not len(column):
        return 0
    _, places, data = column.buffers()
    ends = np.frombuffer(places, np.int32)[[column.offset, column.offset + len(column)]]
    return count(memoryview(data)[ends[0] : ends[1]], QUOTE) if data is not None else 0


def filled(column: Any) -> int:
    """How many values are not null."""
    return int(len(column) - column.null_count)


def whole(column: Any) -> Any:
    """A column as one array."""
    import pyarrow as pa

    found = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if isinstance(found, pa.ChunkedArray):
        found = pa.concat_arrays(found.chunks) if found.num_chunks else pa.array([], found.type)
    return found.storage if isinstance(found, pa.ExtensionArray) else found


def _at(read: Mapping[str, Any], path: str, n: int) -> Any:
    """The column of `n` values at a path; nulls where nothing was read."""
    import pyarrow as pa
    import pyarrow.compute as pc

    first, *rest = path.split(".")
    found = read.get(first)
    for part in rest:
        if found is None or (pa.types.is_struct(found.type) and found.type.get_field_index(part) < 0):
            return pa.nulls(n)
        found = pc.list_element(found, int(part)) if pa.types.is_list(found.type) else pc.struct_field(found, [part])
    return pa.nulls(n) if found is None else found


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


def labels(column: Any) -> Any:
    """The same for labels, which repeat: each of them is looked at once."""
    encoded = column.dictionary_encode()
    return texts(encoded.dictionary, WHOLE).take(encoded.indices)


def numbers(column: Any) -> Any:
    """Numbers, or JSON numbers, as float64; Odd (or an error of Arrow) for anything else."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = column.cast(pa.float64())
    total = pc.sum(found).as_py()
    if total is not None and not abs(total) < float("inf"):
        raise Odd
    return found


def _sum(read: Mapping[str, Any], path: str, n: int) -> Any:
    """A number, or the sum of several (`a+b`)."""
    import pyarrow.compute as pc

    first, *rest = (numbers(_at(read, part, n)) for part in path.split("+"))
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


def _bbox(read: Mapping[str, Any], path: str, n: int) -> Any:
    """Boxes as lists of four numbers, null where there is none; Odd where a part of one is missing."""
    import numpy as np
    import pyarrow as pa

    if "," in path:
        sides = [_at(read, part, n) for part in path.split(",")]
        missing = sides[0].is_null()
    else:
        written = _at(read, path, n)
        missing = written.is_null()
        if pa.types.is_struct(written.type):
            sides = written.flatten()
        else:
            return written if pa.types.is_null(written.type) else four(written)
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
