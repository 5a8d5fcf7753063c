"""What tests that take boxes for independent say: Kolmogorov-Smirnov on confidences, chi-square on classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .world import Boxes

LEVEL = 0.05


def ks(boxes: Boxes, current: NDArray[np.bool_]) -> bool:
    """Whether the confidences differ, said of boxes that are independent; `current`: each box's window."""
    found = stats.ks_2samp(boxes.confidence[~current], boxes.confidence[current], method="asymp")
    return bool(found.pvalue <= LEVEL)


def chi_square(boxes: Boxes, current: NDArray[np.bool_]) -> bool:
    """Whether the classes' shares differ, said of boxes that are independent."""
    _, label = np.unique(boxes.label, return_inverse=True)
    counts = np.stack([np.bincount(label[window], minlength=label.max() + 1) for window in (~current, current)])
    return bool(stats.chi2_contingency(counts).pvalue <= LEVEL)
