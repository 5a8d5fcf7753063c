"""A moved floor is told by its scores: the smallest and the edge both move, on enough boxes, in one source at least."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Shell

from detmon.stats.floors import BINS, Begin, begin, moved

NOW = ("--now", "2026-12-01T00:00:00Z")


def counts(scores: Any) -> Any:
    """Scores in bins."""
    return np.bincount(np.minimum((np.asarray(scores) * BINS).astype(int), BINS - 1), minlength=BINS)


def test_where_scores_begin() -> None:
    assert begin(np.zeros(BINS, int)) is None
    assert begin(counts([0.25])) == Begin(1, 0.25, 0.25)
    thin = counts([0.011] * 4 + [0.5] * 996)
    assert begin(thin) == Begin(1000, 0.011, 0.5)
    assert begin(counts([0.011] * 5 + [0.5] * 995)) == Begin(1000, 0.011, 0.011)


@pytest.mark.parametrize(
    ("before", "since", "told"),
    [
        ([Begin(1000, 0.1, 0.11)], [Begin(1000, 0.16, 0.17)], True),
        ([Begin(1000, 0.1, 0.11)], [Begin(1000, 0.15, 0.16)], False),
        ([Begin(1000, 0.1, 0.11)], [Begin(1000, 0.16, 0.15)], False),
        ([Begin(1000, 0.1, 0.2)], [Begin(1000, 0.16, 0.22)], False),
        ([Begin(999, 0.1, 0.11)], [Begin(1000, 0.3, 0.31)], False),
        ([Begin(1000, 0.1, 0.11)], [Begin(999, 0.3, 0.31)], False),
        ([Begin(500, 0.3, 0.31)] * 2, [Begin(500, 0.1, 0.11)] * 2, True),
        ([Begin(500, 0.3, 0.31), Begin(500, 0.12, 0.14)], [Begin(500, 0.1, 0.11)] * 2, False),
    ],
)
def test_the_rule(before: list[Begin], since: list[Begin], told: bool) -> None:
    assert moved(before, since) is told


def scored(low: float, day: int, source: str | None, n: int = 120) -> list[dict[str, Any]]:
    """Images of ten boxes each, their scores from `low` on."""
    return [
        {
            "model_id": "m", "image_id": f"{source}-{day}-{k}", "source": source,
            "timestamp": f"2026-11-{day:02}T08:{k // 60:02}:{k % 60:02}Z",
            "detections": [{"label": "car", "confidence": round(low + (1 - low) * (j + k / n) / 10, 4),
                            "bbox": [j * 60, 10, 50, 60]} for j in range(10)],
        }
        for k in range(n)
    ]  # fmt: skip


def warned(detmon: Shell, *logs: list[dict[str, Any]]) -> list[str]:
    """What the last of some logs, ingested one after the other, is warned of."""
    for log in logs:
        (detmon.folder / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in log))
        found = detmon(*NOW, "ingest", "log.jsonl", "--json").json["files"][0]["warnings"]
    return [one["message"] for one in found if one["code"] == "floor_moved"]


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (scored(0.5, 5, "b"), None),
        (scored(0.1, 5, "a") + scored(0.5, 5, "b"), None),
        (scored(0.5, 5, "c"), None),
        (scored(0.5, 5, "a"), "m, a: scores begin at 0.50, before at 0.10"),
        (scored(0.5, 5, "a", 99), None),
    ],
)
def test_the_log_of_one_of_several_sources(detmon: Shell, log: list[dict[str, Any]], message: str | None) -> None:
    found = warned(detmon, scored(0.1, 3, "a") + scored(0.5, 3, "b"), log)
    assert [text.split(": mean")[0] for text in found] == ([message] if message else [])


LOGS = ["cameratrap/model_v0_log", "cameratrap/model_v1_log", "opendatacam/junction_log", "opendatacam/highway_log",
        "bdd100k/log", "kitti/rrc_log"]  # fmt: skip


def _scores(path: Path) -> list[list[float]]:
    import pyarrow.parquet as pq

    rows = pq.read_table(path).sort_by("timestamp").column("detections").to_pylist()
    return [[box["confidence"] for box in row] for row in rows]


@pytest.mark.parametrize("name", LOGS)
def test_pieces_of_real_logs(data: Path, name: str) -> None:
    """Halves, thirds and quarters in the order of time do not differ; with a floor of 0.1 more they do."""
    images = _scores(data / f"{name}.parquet")
    for parts in (2, 3, 4):
        size = len(images) // parts
        pieces = [np.concatenate(images[k * size : (k + 1) * size]) for k in range(parts)]
        for before, since in pairwise(pieces):
            floor = np.quantile(before, 0.005) + 0.1
            earlier, later, cut = (begin(counts(some)) for some in (before, since, since[since >= floor]))
            assert earlier
            assert later
            assert not moved([earlier], [later])
            assert cut
            assert moved([earlier], [cut]) == (min(earlier.scored, cut.scored) >= 1000)
