"""torchvision's output, as JSON or Parquet: lists `boxes`, `labels` and `scores` of the same length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from detmon.errors import InputRefused
from detmon.formats import objects, paths
from detmon.formats.chunk import Chunk, Seen, of_batch, rows_as_json
from detmon.formats.contract import Options, Reject
from detmon.formats.inputs import PARQUET, Input
from detmon.formats.names import read_names
from detmon.formats.objectlines import Form, ObjectLog
from detmon.formats.parquet import columns_of, open_parquet, tables

if TYPE_CHECKING:
    import pyarrow as pa

LISTS = ("boxes", "labels", "scores")
DIFFER = "`boxes`, `labels` and `scores` have {}, {} and {} entries"


class _Torchvision:
    layout = "xyxy"
    from_zero = True

    def prepare(self, data: Input, options: Options) -> Options:
        """Labels count from 1. Raises InputRefused for a list of names that does not begin with the background."""
        if options.categories is None or options.category_offset is not None:
            return options
        names = read_names(options.categories)
        if names.listed and "background" not in names.by_id.get(0, "").casefold():
            what = f"labels count from 1, the names begin with `{names.by_id.get(0, '')}`, not with the background"
            raise InputRefused(f"{data.name}: {what}", "--category-offset -1", code="category_base")
        return options


class TorchvisionJson(_Torchvision, ObjectLog):
    """One image an object."""

    because = "lists `boxes`, `labels` and `scores`"

    def recognises(self, found: list[dict[str, Any]]) -> bool:
        """All three lists in the first."""
        return all(isinstance(found[0].get(name), list) for name in LISTS)

    def form(self, options: Options) -> Form:
        """Lists to be zipped."""
        return _Lists(options.map)


class TorchvisionParquet(_Torchvision):
    """One image a row."""

    denominator = "known"

    def fits(self, head: bytes) -> bool:
        """A Parquet file."""
        return head.startswith(PARQUET)

    def sniff(self, head: bytes, path: str) -> str | None:
        """All three columns."""
        if not self.fits(head) or not set(LISTS) <= set(open_parquet(path, path).schema_arrow.names):
            return None
        return "Parquet with columns `boxes`, `labels` and `scores`"

    def read(self, source: Input, options: Options) -> Iterator[Chunk]:
        """The records, in row order."""
        file = open_parquet(str(source.as_path()), source.name)
        names = file.schema_arrow.names
        line = 1
        for table in tables(file, [*columns_of(names, options.map), *(n for n in LISTS if n in names)], source.name):
            yield _zipped(table, options.map, line)
            line += table.num_rows


class _Lists(paths.Mapped):
    """JSON objects with the three lists."""

    def __init__(self, mapping: Mapping[str, str]) -> None:
        super().__init__(mapping)
        self._fields.pop("detections", None)

    def record(self, found: Any, seen: list[Seen]) -> dict[str, Any] | None:
        """One image."""
        if not isinstance(found, dict):
            return objects.record(found, {}, seen)
        record = objects.mapped(found, self.mapping) | {"detections": _detections(found, seen)}
        return objects.record(record, {}, seen)

    def _trees(self, number: str) -> tuple[paths.Tree, paths.Tree] | None:
        trees = super()._trees(number)
        if trees is not None:
            trees[0].update(boxes=f"{number}[][]", labels=f"{paths.JSON}[]", scores=f"{number}[]")
        return trees

    def _table(self, read: Mapping[str, Any]) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc

        lengths = [pc.list_value_length(read[name]) for name in LISTS]
        if not lengths[0].equals(lengths[1]) or not lengths[0].equals(lengths[2]):
            raise paths.Odd
        label = paths.labels(read["labels"].flatten())
        if pc.any(pc.equal(label, "0")).as_py():
            raise paths.Odd
        parts = {
            "label": label,
            "confidence": paths.numbers(read["scores"].flatten()),
            "bbox": paths.four(read["boxes"].flatten()),
        }
        boxes = pa.StructArray.from_arrays(list(parts.values()), list(parts))
        return super()._table(read).append_column("detections", paths.listed(read["boxes"], boxes))


def _detections(found: Mapping[str, Any], seen: list[Seen]) -> list[dict[str, Any]] | None:
    lists = [found.get(name) for name in LISTS]
    if all(one is None for one in lists):
        return None
    for name, one in zip(LISTS, lists, strict=True):
        if not isinstance(one, list):
            raise objects.Unusable(name, "missing_field" if one is None else "wrong_type", f"`{name}` is no list")
    boxes, labels, scores = lists
    if not len(boxes) == len(labels) == len(scores):  # type: ignore[arg-type]
        counts = (len(one) for one in lists)  # type: ignore[arg-type]
        raise objects.Unusable("detections", "lengths_differ", DIFFER.format(*counts))
    background = sum(label == 0 and not isinstance(label, bool) for label in labels)  # type: ignore[union-attr]
    if background:
        seen.append(_background(background))
    return [
        {"label": label, "confidence": score, "bbox": box}
        for box, label, score in zip(boxes, labels, scores, strict=True)  # type: ignore[arg-type]
    ]


def _background(n: int) -> Seen:
    return Seen("background_label", "{n} boxes have label 0, which is the background: do labels count from 0?", n)


def _zipped(table: pa.Table, mapping: Mapping[str, str], line: int) -> Chunk:
    """Rows of Parquet as records; those whose lists differ in length are rejected."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from detmon.formats.parquet import mapped

    lists = {name: paths.whole(table[name]) for name in LISTS}
    lengths = [pc.list_value_length(one).fill_null(-1).to_numpy(zero_copy_only=False) for one in lists.values()]
    good = (lengths[0] == lengths[1]) & (lengths[0] == lengths[2])
    numbers = np.arange(line, line + table.num_rows)
    bad = np.flatnonzero(~good)
    raws = rows_as_json(table.append_column("line", pa.array(numbers)), bad.tolist())
    rejects = [
        Reject(
            int(numbers[row]),
            "detections",
            "lengths_differ",
            DIFFER.format(*(int(max(n[row], 0)) for n in lengths)),
            raw,
        )
        for row, raw in zip(bad, raws, strict=True)
    ]
    mask = pa.array(good)
    boxes, labels, scores = (one.filter(mask) for one in lists.values())
    label = labels.flatten()
    structs = pa.StructArray.from_arrays([label, scores.flatten(), boxes.flatten()], ["label", "confidence", "bbox"])
    rest = table.drop_columns(list(LISTS))
    made = (mapped(rest, mapping) if mapping else rest).filter(mask)
    made = made.append_column("detections", paths.listed(boxes, structs))
    chunk = of_batch(made.append_column("line", pa.array(numbers[good])))
    chunk.rejects = rejects
    background = pc.sum(pc.equal(label.cast(pa.string()), "0")).as_py() if len(label) else 0
    if background:
        chunk.seen = [_background(background)]
    return chunk
