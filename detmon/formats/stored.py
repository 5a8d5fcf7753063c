"""Good records → the table that ingest stores, with the statistics of each image's boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detmon.formats.contract import stored_schema
from detmon.formats.frame import Frame
from detmon.matching import overlaps

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Numbers = NDArray[np.floating[Any]]
    Places = NDArray[np.int64]

TWIN_IOU = 0.95


@dataclass(frozen=True)
class Stored:
    """`twins`: boxes that share their place with one of another label; `duplicates`: boxes that repeat another."""

    table: pa.Table
    twins: int
    duplicates: int


def stored(frame: Frame) -> Stored:
    """The table of a frame whose faults are gone, in `stored_schema()`."""
    import numpy as np
    import pyarrow as pa

    boxes, texts, numbers = frame.boxes, frame.texts, frame.numbers
    boxes.xywh = boxes.xywh.astype(np.float32, copy=False)  # statistics are those of what is stored
    boxes.confidence = boxes.confidence.astype(np.float32, copy=False)
    found = overlaps(boxes.xywh, boxes.offsets, TWIN_IOU)
    twins, duplicates = _twins(frame, found.first, found.second)
    kinds = stored_schema().field("detections").type.value_type
    sides = [boxes.label, _floats(boxes.confidence), *(_floats(side) for side in boxes.xywh)]
    structs = pa.StructArray.from_arrays([*sides, boxes.detection_id, boxes.track_id], fields=list(kinds))
    columns = {
        "line": pa.array(frame.line),
        **{name: texts[name] for name in ("prediction_id", "model_id", "image_id", "image_uri", "source", "status")},
        "ts": pa.array(frame.times.micros).cast(pa.timestamp("us")),
        **{name: _floats(numbers[name]).cast(pa.int32()) for name in ("image_width", "image_height")},
        **{name: _floats(numbers[name]) for name in ("latency_ms", "confidence_floor")},
        "tags": frame.tags,
        "detections": pa.ListArray.from_arrays(pa.array(boxes.offsets.astype(np.int32)), structs),
        "n_detections": pa.array(boxes.counts.astype(np.uint16)),
        **_score_columns(frame),
        **_area_columns(frame),
        "max_iou": _floats(found.largest),
    }
    table = pa.Table.from_arrays([columns[name] for name in stored_schema().names], schema=stored_schema())
    return Stored(table, twins, duplicates)


def _floats(values: Numbers) -> pa.Array:
    """float32 with null for NaN."""
    import numpy as np
    import pyarrow as pa

    with np.errstate(over="ignore"):
        return pa.array(values.astype(np.float32, copy=False), pa.float32(), from_pandas=True)


def _twins(frame: Frame, first: Places, second: Places) -> tuple[int, int]:
    import numpy as np

    boxes = frame.boxes
    kinds, _ = boxes.kinds
    other_label = kinds[first] != kinds[second]
    same_box = (boxes.xywh[:, first] == boxes.xywh[:, second]).all(axis=0)
    one, two = boxes.confidence[first], boxes.confidence[second]
    same_score = (one == two) | (np.isnan(one) & np.isnan(two))
    twins = np.unique(np.concatenate([first[other_label], second[other_label]]))
    repeats = np.unique(second[~other_label & same_box & same_score])
    return len(twins), len(repeats)


def _reduced(ufunc: np.ufunc, values: Numbers | Places, offsets: Places, empty: float) -> Any:
    """`ufunc` over the boxes of each record; `empty` for records without boxes."""
    import numpy as np

    filled = np.flatnonzero(np.diff(offsets))
    result = np.full(len(offsets) - 1, empty, values.dtype)
    if len(filled):
        result[filled] = ufunc.reduceat(values, offsets[filled])
    return result


def _score_columns(frame: Frame) -> dict[str, pa.Array]:
    import numpy as np
    import pyarrow as pa

    boxes = frame.boxes
    confidence, offsets = boxes.confidence, boxes.offsets
    some_missing = not boxes.scored.all()
    known = np.where(boxes.scored, confidence, 0) if some_missing else confidence
    micro = np.floor(known.astype(np.float32).astype(np.float64) * 1e6 + 0.5).astype(np.int64)  # as SQL rounds
    n = _reduced(np.add, boxes.scored.astype(np.int64), offsets, 0) if some_missing else boxes.counts
    lowest = _reduced(np.fmin, confidence, offsets, np.nan)
    highest = _reduced(np.fmax, confidence, offsets, np.nan)
    return {
        "confidence_n": pa.array(n.astype(np.uint16)),
        "confidence_sum": pa.array(_reduced(np.add, micro, offsets, 0) / 1e6),
        "confidence_min": _floats(lowest),
        "confidence_max": _floats(highest),
    }


def _area_columns(frame: Frame) -> dict[str, pa.Array]:
    import numpy as np

    boxes = frame.boxes
    pixels = frame.numbers["image_width"].astype(np.float64) * frame.numbers["image_height"]
    areas = boxes.xywh[2].astype(np.float64) * boxes.xywh[3]
    with np.errstate(over="ignore"):
        return {
            "area_min": _floats(_reduced(np.fmin, areas, boxes.offsets, np.nan) / pixels),
            "area_max": _floats(_reduced(np.fmax, areas, boxes.offsets, np.nan) / pixels),
        }
