"""The labels of a version, for those who evaluate, train or export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detmon.formats.truth import Truth
from detmon.matching import Boxes
from detmon.store import Connection, statement

if TYPE_CHECKING:
    import pyarrow as pa


def table(con: Connection, version_id: str) -> pa.Table:
    """One row an image (`version_labels.sql`); `annotations` are structs of label, x, y, w, h in pixels."""
    found: pa.Table = con.sql(statement("version_labels"), params={"version": version_id}).to_arrow_table()
    return found.combine_chunks()


def flat(rows: pa.Table) -> tuple[list[str], Boxes]:
    """The labels of a table, sorted, and all its boxes: `image` is the row, `label` the place in the labels."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    lists = rows["annotations"]
    lists = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    lists = lists.chunk(0) if isinstance(lists, pa.ChunkedArray) else lists
    structs = lists.flatten()
    names = structs.field("label") if len(structs) else pa.array([], pa.string())
    labels = sorted(pc.unique(names).to_pylist())
    image = np.repeat(np.arange(len(lists)), pc.list_value_length(lists).to_numpy(zero_copy_only=False))
    label = pc.index_in(names, pa.array(labels, pa.string())).to_numpy(zero_copy_only=False).astype(np.int64)
    sides = [structs.field(side).to_numpy(zero_copy_only=False) if len(structs) else np.empty(0) for side in "xywh"]
    return labels, Boxes(image.astype(np.int64), label, np.stack(sides))


ABOUT = ("source", "image_width", "image_height")
"""What ground truth says of an image, beside its id."""


def truth(rows: pa.Table, digest: str) -> Truth:
    """The labels of a table as ground truth."""
    import numpy as np

    labels, boxes = flat(rows)
    none = np.zeros(len(boxes), bool)
    images, about = rows["image_id"].to_pylist(), rows.select(ABOUT).to_pylist()
    return Truth(
        "version", digest, images, about, labels, boxes, none, none, boxes.xywh[2] * boxes.xywh[3],
        normalised=False, warnings=(),
    )  # fmt: skip
