"""Verdicts put into a store by SQL: for tests of what comes after feedback."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

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
    """Add verdicts, with what their predictions say."""
    with Store(folder / db).writing() as con, transaction(con):
        for verdict in verdicts:
            box = dict(zip("xywh", verdict.box or (None,) * 4, strict=True))
            values = {
                **{"prediction": verdict.prediction, "type": verdict.type, "index": verdict.index},
                **{"scope": verdict.scope, "true_label": verdict.true_label, "reviewer": verdict.reviewer},
                **{"origin": verdict.origin, "ts": _at(verdict.ts), **box},
            }
            con.execute(
                "INSERT INTO feedback BY NAME SELECT uuid()::VARCHAR AS feedback_id, prediction_id, "
                "$index::INTEGER AS detection_index, $type AS type, $true_label AS true_label, $x AS x, $y AS y, "
                "$w AS w, $h AS h, $scope AS scope, $reviewer AS reviewer, $origin AS origin, $ts::TIMESTAMP AS ts, "
                "false AS waiting, $ts::TIMESTAMP AS created_at, model_id, ts AS predicted_at, "
                "detections[$index + 1].label AS label, detections[$index + 1].confidence AS confidence "
                "FROM predictions WHERE prediction_id = $prediction",
                values,
            )


def _at(seconds: float) -> datetime:
    return BASE + timedelta(seconds=seconds)
