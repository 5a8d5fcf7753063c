"""What the blocks of a window hold, as the statistics take it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from detmon.stats.probes import BlockCounts

    Whole = NDArray[np.int64]
    Columns = dict[str, Any]

OBJECTS, CONFIDENCES = 66, 1000
"""Bins."""


@dataclass(frozen=True)
class Counts:
    """What the blocks of one window hold, by part of the day where the blocks are days (else one part).

    `objects` [G, P, 66], `confidence` [G, P, 1000], `micro` [G, P], `classes` [G, P, K], `cells` [K].
    """

    objects: Whole
    confidence: Whole
    micro: Whole
    labels: tuple[str, ...]
    classes: Whole
    cells: Whole


def counted(
    shape: tuple[int, int], objects: Columns, confidences: Columns, classes: Columns, places: Sequence[int]
) -> Counts:
    """Counts by block and part of the day (`shape`), each pair a place.

    The key of `objects` and `confidences` is a place, that of `classes` a piece of the place `places[key]`.
    """
    import numpy as np

    def added(key: Whole, bins: Whole | int, values: Whole, width: int) -> Whole:
        sums = np.bincount(key * width + bins, values, shape[0] * shape[1] * width)
        return sums.astype(np.int64).reshape(*shape, width)  # exact: below 2⁵³

    listed = classes["label"].tolist()
    names = sorted(set(listed))
    numbers = {label: number for number, label in enumerate(names)}
    label = np.fromiter((numbers[name] for name in listed), np.int64, len(listed))
    kinds = max(len(names), 1)
    occurs = np.bincount(classes["key"] * kinds + label, minlength=len(places) * kinds).reshape(-1, kinds)
    return Counts(
        objects=added(objects["key"], objects["bin"], objects["n"], OBJECTS),
        confidence=added(confidences["key"], confidences["bin"], confidences["n"], CONFIDENCES),
        micro=added(confidences["key"], 0, confidences["micro"], 1)[:, :, 0],
        labels=tuple(names),
        classes=added(np.array(places, np.int64)[classes["key"]], label, classes["n"], kinds)[:, :, : len(names)],
        cells=(occurs > 0).sum(axis=0)[: len(names)],
    )


def together(reference: Counts, current: Counts) -> tuple[BlockCounts, list[BlockCounts]]:
    """The blocks of two windows over the union of their labels: all of each block, and each part of it."""
    import numpy as np

    from detmon.stats.probes import BlockCounts

    labels = tuple(sorted({*reference.labels, *current.labels}))

    def aligned(values: Whole, own: tuple[str, ...]) -> Whole:
        numbers = {label: number for number, label in enumerate(labels)}
        result = np.zeros((*values.shape[:-1], len(labels)), np.int64)
        result[..., [numbers[label] for label in own]] = values
        return result

    def joined(name: str) -> Whole:
        return np.concatenate([getattr(reference, name), getattr(current, name)])

    classes = np.concatenate([aligned(side.classes, side.labels) for side in (reference, current)])
    is_current = np.arange(len(classes)) >= len(reference.classes)
    cells = aligned(current.cells, current.labels)

    def counts(choose: Any) -> BlockCounts:
        return BlockCounts(
            current=is_current,
            objects=choose(joined("objects")),
            micro=choose(joined("micro")),
            confidence=choose(joined("confidence")),
            labels=labels,
            classes=choose(classes),
            cells=cells,
        )

    parts = [counts(lambda values, part=part: values[:, part]) for part in range(classes.shape[1])]
    return counts(lambda values: values.sum(axis=1)), parts
