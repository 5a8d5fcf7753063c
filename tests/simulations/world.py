"""What the simulated worlds share: classes, series that remember, and boxes counted by block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from detmon.stats.probes import BINS, BlockCounts

BASE = np.array([0.40, 0.22, 0.14, 0.10, 0.06, 0.045, 0.025, 0.01])
"""Shares of the classes."""
LOGIT = np.array([1.6, 1.4, 1.2, 1.3, 1.0, 0.9, 0.8, 0.7])
"""Mean logit of their confidences."""
OBJECTS = 66

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def ar(rng: np.random.Generator, shape: tuple[int, ...], phi: float, sd: float) -> Floats:
    """Stationary AR(1) series along the last axis, of standard deviation `sd`."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    noise[..., 1:] *= np.sqrt(1 - phi * phi)
    return sd * lfilter([1.0], [1.0, -phi], noise, axis=-1)


def labels(classes: int) -> tuple[str, ...]:
    """Names of the classes, in the order of their numbers."""
    return tuple(f"class{k:02d}" for k in range(classes))


@dataclass(frozen=True)
class Boxes:
    """Simulated boxes: the frame, class and confidence of each."""

    frame: Ints
    label: Ints
    confidence: Floats

    def where(self, keep: NDArray[np.bool_]) -> Boxes:
        """Those to `keep`."""
        return Boxes(self.frame[keep], self.label[keep], self.confidence[keep])


def counted(block: Ints, current: NDArray[np.bool_], boxes: Boxes, classes: int, cell: Ints) -> BlockCounts:
    """The counts by block; `block` [frames]: each frame's block, -1 for none; `cell`: its cell, for new classes."""
    rows = len(current)
    kept = block >= 0
    objects = np.minimum(np.bincount(boxes.frame, minlength=len(block)), OBJECTS - 1)
    boxes = boxes.where(kept[boxes.frame])
    at = block[boxes.frame]
    micro = np.rint(boxes.confidence * 1e6).astype(np.int64)
    seen = current[at]
    cells = np.unique(cell[boxes.frame[seen]] * classes + boxes.label[seen])
    return BlockCounts(
        current=current,
        objects=table(block[kept], objects[kept], rows, OBJECTS),
        micro=np.bincount(at, micro, minlength=rows).astype(np.int64),
        confidence=table(at, np.minimum(micro // 1000, BINS - 1), rows, BINS),
        labels=labels(classes),
        classes=table(at, boxes.label, rows, classes),
        cells=np.bincount(cells % classes, minlength=classes),
    )


def table(row: Ints, column: Ints, rows: int, columns: int) -> Ints:
    """How often each pair occurs."""
    return np.bincount(row * columns + column, minlength=rows * columns).reshape(rows, columns)
