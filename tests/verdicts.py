"""Verdicts put into a store by SQL: for tests of what comes after feedback."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from stored import BASE

from detmon.store import Store, transaction


@dataclass(frozen=True)
class Verdict:
    """One row of feedback on a prediction of `stored.store`; `ts` is in seconds after BASE."""

    prediction: str
    type: str = "correct"
    index: int | None = None
    scope: str = "boxes_only"
    true_label: str | None = None
    ts: float = 0
    reviewer: str | None = None
    origin: str = "import"
    box: tuple[float, float, float, float] | None = None


def judge(folder: Path, verdicts: Iterable[Verdict], db: str = "detmon.duckdb") -> None:
    """Add verdicts, with what their predictions say, in the order given."""
    listed = list(verdicts)
    columns: dict[str, list[Any]] = {
        "predictions": [one.prediction for one in listed],
        "types": [one.type for one in listed],
        "indexes": [one.index for one in listed],
        "scopes": [one.scope for one in listed],
        "true_labels": [one.true_label for one in listed],
        "reviewers": [one.reviewer for one in listed],
        "origins": [one.origin for one in listed],
        "times": [BASE + timedelta(seconds=one.ts) for one in listed],
        "boxes": [list(one.box) if one.box else None for one in listed],
    }
    with Store(folder / db).writing() as con, transaction(con):
        con.execute(
            """
            INSERT INTO feedback BY NAME
            SELECT uuid()::VARCHAR AS feedback_id, prediction_id, index AS detection_index, type, true_label,
              box[1] AS x, box[2] AS y, box[3] AS w, box[4] AS h, scope, reviewer, origin, given AS ts,
              false AS waiting, given AS created_at, model_id, p.ts AS predicted_at,
              detections[index + 1].label AS label, detections[index + 1].confidence AS confidence
            FROM (SELECT unnest($predictions::VARCHAR[]) AS prediction_id, unnest($types::VARCHAR[]) AS type,
                unnest($indexes::INTEGER[]) AS index, unnest($scopes::VARCHAR[]) AS scope,
                unnest($true_labels::VARCHAR[]) AS true_label, unnest($reviewers::VARCHAR[]) AS reviewer,
                unnest($origins::VARCHAR[]) AS origin, unnest($times::TIMESTAMP[]) AS given,
                unnest($boxes::FLOAT[][]) AS box, unnest(range(array_length($types::VARCHAR[]))) AS place)
              JOIN predictions p USING (prediction_id)
            ORDER BY place
            """,
            columns,
        )
