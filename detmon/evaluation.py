"""The predictions of a model beside ground truth: joined by image and label, matched, and measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from detmon import matching
from detmon.errors import InputRefused, UsageError
from detmon.formats.contract import Warned
from detmon.formats.supply import image_ids
from detmon.formats.truth import Truth
from detmon.matching import Boxes
from detmon.stats import average_precision as precision
from detmon.store import Connection, statement
from detmon.times import Period

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Numbers = NDArray[np.floating[Any]]
    Places = NDArray[np.int64]
    Flags = NDArray[np.bool_]
    Placed: TypeAlias = tuple[Places, list[Warned]]

NAMED = 5
"""So many labels or images are named in a message."""


@dataclass(frozen=True)
class Rules:
    """How predictions are compared with ground truth.

    An object is found from the overlap `iou` on, up to `background` a box has nothing to do with it; boxes below the
    confidence `threshold` were not served. `image_id` makes ids of paths, as in ingest; `image_size` is in pixels.
    """

    iou: float = 0.5
    background: float = 0.1
    threshold: float | None = None
    image_id: str | None = None
    image_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.background < self.iou <= 1:
            raise UsageError(f"--iou must lie above {self.background:g}, the overlap of background, and up to 1")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise UsageError("--min-confidence must lie in [0, 1]")


@dataclass(frozen=True)
class Joined:
    """Predictions that have ground truth, in the order of its images (COCO's: by id), and both kinds of boxes on them.

    `predictions` are their ids, `detections` and `objects` hold places in it and in `labels`; `index` is the place of a
    detection in its prediction, `number` that of an object in the ground truth. `found` are the overlapping pairs.
    `unseen` images of the ground truth have no prediction.
    """

    predictions: list[str]
    labels: list[str]
    detections: Boxes
    index: Places
    confidence: Numbers
    objects: Boxes
    number: Places
    ignored: Flags
    crowd: Flags
    area: Numbers
    found: matching.Pairs
    unseen: int
    warnings: tuple[Warned, ...]


@dataclass(frozen=True)
class Assessment:
    """A model against ground truth: COCO's figures over all boxes, and what was served from `threshold` on.

    `classes` are the labels that have objects, `by_label` what was served of each label.
    """

    map: float | None
    map50: float | None
    map75: float | None
    ar100: float | None
    classes: Mapping[str, precision.ClassPrecision]
    threshold: float | None
    served: matching.Served
    by_label: Mapping[str, matching.Served]


def join(
    con: Connection,
    model_id: str,
    period: Period,
    truth: Truth,
    rules: Rules,
    *,
    placed: Callable[[pa.Table], Placed] | None = None,
    unseen_are_empty: bool = False,
) -> Joined:
    """The predictions of a period beside their ground truth.

    `placed` says which image of the ground truth each row of images is of, -1 for none (default: that of its id).
    `unseen_are_empty`: the model saw all images, and found nothing where it has no prediction. Raises InputRefused when
    they have no image or no label in common, or when boxes are shares of an unknown size.
    """
    import numpy as np
    import pyarrow as pa

    values = {"model": model_id, "start": period.start, "end": period.end}
    images: pa.Table = con.sql(statement("truth_images"), params=values).to_arrow_table()
    place, warnings = placed(images) if placed else _common(images, truth, rules.image_id)
    by_truth = np.argsort(place, kind="stable")  # equal scores count in the order of the ground truth's images
    known = by_truth[place[by_truth] >= 0]
    images, place = images.take(pa.array(known)), place[known]
    con.register(
        "wanted", images.select(["prediction_id", "ts"]).append_column("place", pa.array(np.arange(len(known))))
    )
    boxes: pa.Table = con.sql(statement("truth_boxes"), params=values).to_arrow_table().combine_chunks()
    con.unregister("wanted")
    labels, of_boxes = _labels(boxes["label"], truth)
    detections = Boxes(boxes["place"].to_numpy().astype(np.int64), of_boxes, _sides(boxes))
    unseen = np.setdiff1d(np.arange(len(truth.images)), place)
    shown = np.append(place, unseen) if unseen_are_empty else place
    objects, number = _objects(truth, shown, _sizes(images, truth, rules.image_size))
    logged = con.execute(statement("logged_labels"), {"model": model_id}).fetchall()
    warnings += _label_warnings({label for (label,) in logged}, truth)
    return Joined(
        images["prediction_id"].to_pylist(),
        labels,
        detections,
        boxes["detection_index"].to_numpy().astype(np.int64),
        boxes["confidence"].to_numpy(zero_copy_only=False).astype(np.float64),
        objects,
        number,
        truth.ignored[number],
        truth.crowd[number],
        objects.xywh[2] * objects.xywh[3] if truth.normalised else truth.area[number],
        matching.pairs(detections, objects, rules.background),
        len(unseen),
        (*truth.warnings, *warnings),
    )


def served(joined: Joined, threshold: float | None) -> Joined:
    """The same without the detections below a confidence (counted in millionths)."""
    import numpy as np

    if threshold is None:
        return joined
    kept = np.rint(joined.confidence * 1e6) >= round(threshold * 1e6)
    number = np.cumsum(kept) - 1
    pairs = joined.found.where(kept[joined.found.detection])
    pairs = matching.Pairs(number[pairs.detection], pairs.object, pairs.iou, pairs.inside)
    boxes = joined.detections
    boxes = Boxes(boxes.image[kept], boxes.label[kept], boxes.xywh[:, kept])
    return replace(joined, detections=boxes, index=joined.index[kept], confidence=joined.confidence[kept], found=pairs)


def match(joined: Joined, rules: Rules) -> matching.Matches:
    """Verdicts on the detections (docs/feedback.md)."""
    return matching.match(
        joined.detections,
        joined.confidence,
        joined.objects,
        joined.ignored,
        found=joined.found,
        iou=rules.iou,
        background=rules.background,
    )


def assess(joined: Joined, rules: Rules) -> Assessment:
    """COCO's figures over all boxes; precision, recall and the kinds of error over those that were served."""
    import numpy as np

    boxes, objects, pairs = joined.detections, joined.objects, joined.found
    pairs = pairs.where(boxes.label[pairs.detection] == objects.label[pairs.object])
    overlap = np.where(joined.crowd[pairs.object], pairs.inside, pairs.iou)
    whole = precision.average_precision(
        precision.Candidates(boxes.image, boxes.label, np.nan_to_num(joined.confidence), boxes.xywh[2] * boxes.xywh[3]),
        precision.Objects(objects.label, joined.area, joined.ignored, joined.crowd),
        precision.Pairs(pairs.detection, pairs.object, overlap),
    )
    kept = served(joined, rules.threshold)
    matches = match(kept, rules)
    classes = {joined.labels[label]: one for label, one in whole.classes.items()}
    by_label = {
        name: matching.served(matching.of_label(matches, kept.detections, objects, place))
        for place, name in enumerate(joined.labels)
    }
    return Assessment(
        *(whole.map, whole.map50, whole.map75, whole.ar, classes, rules.threshold),
        *(matching.served(matches), by_label),
    )


def _common(images: pa.Table, truth: Truth, style: str | None) -> tuple[Places, list[Warned]]:
    """The place in the ground truth of each prediction's image, -1 where it has none, and what is on one side only."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    ids = image_ids(images["image_id"].combine_chunks(), style)
    found = pc.index_in(ids, pa.array(truth.images, pa.string()))
    place = found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    unclear = _unclear(ids, images["image_id"].combine_chunks(), truth)
    place[unclear] = -1
    if not (place >= 0).any():
        theirs = repr(truth.images[0]) if truth.images else "no image"
        ours = repr(ids[0].as_py()) if len(ids) else "no prediction in this period"
        raise InputRefused(
            f"no image in common (log: {ours}, ground truth: {theirs})",
            "--image-id name or stem, or another --period",
            code="no_common_images",
        )
    warnings = []
    if unclear.any():
        n = int(unclear.sum())
        message = f"{n:,} predictions are left out: --image-id {style} gives several images one id"
        warnings.append(Warned("same_image_id", message, n))
    alone = np.setdiff1d(np.arange(len(truth.images)), place)
    if len(alone):
        names = _some([truth.images[k] for k in alone[:NAMED].tolist()], len(alone))
        warnings.append(Warned("no_prediction", f"{len(alone):,} images have no prediction: {names}", len(alone)))
    without = np.flatnonzero(place < 0)
    if len(without):
        names = _some([ids[k].as_py() for k in without[:NAMED].tolist()], len(without))
        warnings.append(Warned("no_truth", f"{len(without):,} predictions have no ground truth: {names}", len(without)))
    return place, warnings


def _unclear(ids: pa.Array, paths: pa.Array, truth: Truth) -> Flags:
    """Which predictions have an id that stands for several images, of the log or of the ground truth."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    said = pa.table({"id": ids, "path": paths}).group_by("id").aggregate([("path", "count_distinct")])
    several = said.filter(pc.greater(said["path_count_distinct"], 1))["id"].to_pylist()
    twice = [name for name, n in Counter(truth.images).items() if n > 1]
    found: Flags = pc.is_in(ids, pa.array([*several, *twice], pa.string())).to_numpy(zero_copy_only=False)
    return found.astype(np.bool_)


def _labels(column: pa.ChunkedArray, truth: Truth) -> tuple[list[str], Places]:
    """The labels of the ground truth, then those of the log alone; and the place of each detection's label in them."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    others = sorted({label for label in column.unique().to_pylist() if label is not None} - set(truth.labels))
    labels = [*truth.labels, *others]
    places = pc.index_in(column, pa.array(labels, pa.string())).fill_null(-2)
    return labels, places.to_numpy().astype(np.int64)


def _sides(boxes: pa.Table) -> Numbers:
    import numpy as np

    return np.stack([boxes[side].to_numpy().astype(np.float64) for side in "xywh"])


def _sizes(images: pa.Table, truth: Truth, size: tuple[int, int] | None) -> Numbers | None:
    """Width and height of each prediction's image, shape (2, n), where the ground truth needs them."""
    import numpy as np

    if not truth.normalised:
        return None
    columns = (images["image_width"], images["image_height"])
    sides = np.stack([column.to_numpy(zero_copy_only=False).astype(np.float64) for column in columns])
    if size is not None:
        sides = np.where(np.isnan(sides), np.array(size, float)[:, None], sides)
    if np.isnan(sides).any():
        raise InputRefused(
            "the objects are shares of the image, and the log knows no sizes", "--image-size WxH", code="no_image_size"
        )
    return sides


def _objects(truth: Truth, place: Places, sizes: Numbers | None) -> tuple[Boxes, Places]:
    """The objects of each prediction's image, and their numbers in the ground truth."""
    import numpy as np

    bounds = np.searchsorted(truth.boxes.image, np.arange(len(truth.images) + 1))
    starts, counts = bounds[place], np.diff(bounds)[place]
    owner = np.repeat(np.arange(len(place)), counts)
    number = np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(len(owner))
    sides = truth.boxes.xywh[:, number]
    if sizes is not None:
        sides = sides * sizes[[0, 1, 0, 1]][:, owner]
    return Boxes(owner, truth.boxes.label[number], sides), number


def _label_warnings(logged: set[str], truth: Truth) -> list[Warned]:
    """Labels of one side only, named; raises InputRefused when none is common."""
    import numpy as np

    true = {truth.labels[k] for k in np.unique(truth.boxes.label).tolist() if k >= 0}
    if logged and true and not logged & true:
        raise InputRefused(
            f"no label in common (log: {_some(sorted(logged), len(logged))}; "
            f"ground truth: {_some(sorted(true), len(true))})",
            "labels are compared as they are written: rename them on one side",
            code="no_common_labels",
        )
    found = []
    for code, side, alone in (
        ("labels_of_truth", "the ground truth", sorted(true - logged)),
        ("labels_of_log", "the log", sorted(logged - true)),
    ):
        if alone:
            found.append(Warned(code, f"labels of {side} only: {_some(alone, len(alone))}", len(alone)))
    return found


def _some(names: Sequence[str], n: int) -> str:
    """The first few names, and that there are more."""
    return ", ".join(names[:NAMED]) + (", …" if n > NAMED else "")
