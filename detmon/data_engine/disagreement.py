"""Disagreement: another model logged the same image, and some box of either has no partner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detmon.data_engine.settings import just_below
from detmon.matching import one_to_one
from detmon.store import Connection, statement

SQL = "p.prediction_id IN (SELECT prediction_id FROM disagreeing)"
"""The condition, over the temporary table that `find` makes."""


def find(con: Connection, said: Mapping[str, Any], values: Mapping[str, Any], highest: float) -> None:
    """Make the temporary tables `disagreeing` and `late` of the predictions that disagree in this run.

    Boxes are partners when they have the same label and at least the IoU that is asked for, each box one of the other
    model's, the highest IoU first. `late` are those that an earlier run has scanned, and whose partner arrived since.
    `values`: the run's engine, model, salt, first and last batch, and whether it scans `again`.
    """
    partners = statement("engine_partners").format(bucket=statement("bucket"))
    con.execute(partners, {**values, "other": said["other_model"], "highest": highest})
    con.execute(statement("engine_boxes"), {"lowest": just_below(said["min_confidence"])})
    con.execute(statement("engine_compared"), {"iou": said["iou"]})
    unclear = con.execute(statement("engine_unclear")).fetchall()
    pairs = [pair for pair, candidates in unclear if not _agree(candidates)]
    con.execute(statement("engine_disagreeing"), {"pairs": pairs})
    con.execute(statement("engine_late"))


def _agree(candidates: list[tuple[int, int, float]]) -> bool:
    return one_to_one(candidates) == len({mine for mine, _, _ in candidates})
