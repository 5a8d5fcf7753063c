"""What the simulated worlds share: classes, series that remember, and boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

BASE = np.array([0.40, 0.22, 0.14, 0.10, 0.06, 0.045, 0.025, 0.01])
"""Shares of the classes."""
LOGIT = np.array([1.6, 1.4, 1.2, 1.3, 1.0, 0.9, 0.8, 0.7])
"""Mean logit of their confidences."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def ar(rng: np.random.Generator, shape: tuple[int, ...], phi: float, sd: float) -> Floats:
    """Stationary AR(1) series along the last axis, of standard deviation `sd`."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    noise[..., 1:] *= np.sqrt(1 - phi * phi)
    return sd * lfilter([1.0], [1.0, -phi], noise, axis=-1)


@dataclass(frozen=True)
class Boxes:
    """Simulated boxes: the frame, class and confidence of each."""

    frame: Ints
    label: Ints
    confidence: Floats

    def where(self, keep: NDArray[np.bool_]) -> Boxes:
        """Those to `keep`."""
        return Boxes(self.frame[keep], self.label[keep], self.confidence[keep])
