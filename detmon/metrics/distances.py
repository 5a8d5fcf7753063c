"""The metrics `class_drift`, `confidence_drift` and `count_drift`: how far a window is from the baseline.

They are no verdict. Their level while nothing changes is not 0: it is the usual range of `drift check`, above which
thresholds belong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from detmon.metrics import Labels, Measured, Selection, Wanted, Window
from detmon.stats.distances import js_distance
from detmon.store import Connection, statement

KINDS = {"class_drift": "class", "confidence_drift": "confidence", "count_drift": "count"}
"""Metric → whose distribution: of boxes by label, of confidences in 20 bins, of images by number of boxes."""
Counts = dict[str, dict[str, int]]
"""Kind → value → how many."""


def measure_distances(
    con: Connection, selection: Selection, windows: Sequence[Window], batch: Sequence[Wanted]
) -> dict[Wanted, dict[Window, dict[Labels, Measured]]]:
    """The distance of each window from the model's baseline; without a baseline the reason says so."""
    normal = con.execute(statement("distance_baseline"), {"model": selection.model_id}).fetchall()
    reference, reference_unknown = _reference(con, selection.model_id, normal[0]) if normal else ({}, False)
    found, unknown = _windows(con, selection.model_id, windows)
    result: dict[Wanted, dict[Window, dict[Labels, Measured]]] = {}
    for one in batch:
        kind = KINDS[one.metric.name]
        result[one] = {}
        for window in windows:
            here = found[window].get(kind, {})
            n = sum(here.values())
            if not normal:
                result[one][window] = {(): Measured(None, n, reason="no_baseline")}
            elif n:
                lacking = kind == "count" and (reference_unknown or window in unknown)
                value = _distance(reference.get(kind, {}), here)
                result[one][window] = {(): Measured(value, n, lacking, reason="empty_baseline")}
    return result


def _reference(con: Connection, model_id: str, span: Window) -> tuple[Counts, bool]:
    """What the whole hours of the baseline hold, from the rollups; and whether images without boxes are missing."""
    values = {"model": model_id, "start": span[0], "end": span[1]}
    counts: Counts = defaultdict(dict)
    unknown = False
    for kind, key, n, lacking in con.execute(statement("distance_reference"), values).fetchall():
        counts[kind][key] = int(n)
        unknown = unknown or lacking
    return counts, unknown


def _windows(con: Connection, model_id: str, windows: Sequence[Window]) -> tuple[dict[Window, Counts], set[Window]]:
    values: dict[str, Any] = {
        "model": model_id,
        "starts": [start for start, _ in windows],
        "ends": [end for _, end in windows],
        "first": min(start for start, _ in windows),
        "last": max(end for _, end in windows),
    }
    counts: dict[Window, Counts] = {window: defaultdict(dict) for window in windows}
    unknown: set[Window] = set()
    for start, end, kind, key, n, lacking in con.execute(statement("distance_windows"), values).fetchall():
        counts[start, end][kind][key] = int(n)
        if lacking:
            unknown.add((start, end))
    return counts, unknown


def _distance(reference: dict[str, int], here: dict[str, int]) -> float | None:
    keys = sorted(reference.keys() | here.keys())
    return js_distance([reference.get(key, 0) for key in keys], [here.get(key, 0) for key in keys])
