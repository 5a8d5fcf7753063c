"""Caps of a budget: how many predictions of a group are kept, and what that does to their probabilities.

A stage keeps the `k` of a group's n selected predictions that have the smallest buckets of that stage, and multiplies
their probabilities by k / n. Buckets of different stages are independent, so each stage is a simple random sample of
what the one before has kept, and weights 1/probability are exactly unbiased: a sample in phases (Särndal, Swensson and
Wretman, Model Assisted Survey Sampling, 1992, chapter 9).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from detmon.data_engine.settings import STAGES
from detmon.store import Connection, statement
from detmon.times import parse_duration

if TYPE_CHECKING:
    import pyarrow as pa

_DAY = "strftime(ts, '%Y-%m-%d')"
_GROUPS = {
    "gap": "concat_ws(' ', CAST(floor(epoch(ts) / $gap) AS BIGINT), source)",
    "source_day": f"concat_ws(' ', {_DAY}, source)",
    "day": _DAY,
}
"""The group of a prediction in each stage: days are UTC's, gaps are counted from 1970 on."""


def limits(budget: Mapping[str, Any]) -> dict[str, int]:
    """How many predictions each stage of a budget keeps a group; stages without a cap are absent."""
    said = {"gap": budget["gap"] and 1, "source_day": budget["per_source_day"], "day": budget["per_day"]}
    return {stage: said[stage] for stage in STAGES if said[stage] is not None}


def apply(con: Connection, engine_id: str, salt: str, budget: Mapping[str, Any]) -> pa.Table | None:
    """Cap the temporary table `selected`; returns the new groups (stage, group_key, tau, cut), None without a budget.

    A group that an earlier run has capped keeps its cut: rows that come later meet it.
    """
    stages = limits(budget)
    if not stages:
        return None
    con.execute("CREATE OR REPLACE TEMP TABLE new_caps(stage VARCHAR, group_key VARCHAR, tau DOUBLE, cut DOUBLE)")
    for stage, k in stages.items():
        ranks = statement("engine_cap_ranks").format(group=_GROUPS[stage], bucket=statement("bucket"))
        values: dict[str, Any] = {"engine": engine_id, "stage": stage, "salt": f"{salt}.{stage}"}
        if stage == "gap":
            values["gap"] = parse_duration(budget["gap"]).total_seconds()
        con.execute(ranks, values)
        con.execute(statement("engine_cap_groups"), {"stage": stage, "k": k})
        con.execute(statement("engine_cap_keep"), {"stage": stage})
    return con.sql("FROM new_caps").to_arrow_table()
