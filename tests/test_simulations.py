"""The simulated worlds: few histories of each in every run, all of them in a slow one."""

from __future__ import annotations

import pytest
from simulations import ab, anomaly, caps, drift, reviews
from simulations.rows import Row, report

FEW = 6
ROWS = [*drift.rows(), *reviews.ROWS, *ab.ROWS, *caps.ROWS, *anomaly.rows()]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_few_histories(row: Row) -> None:
    measured = row.run(FEW)
    assert row.holds(measured), f"{measured}, not {row.bound} of {row.replicates}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "rows",
    [drift.rows(), reviews.ROWS, ab.ROWS, caps.ROWS, anomaly.rows()],
    ids=["drift", "reviews", "ab", "caps", "anomaly"],
)
def test_all_histories(rows: list[Row], capsys: pytest.CaptureFixture[str]) -> None:
    assert report(rows), capsys.readouterr().out


def test_boxes_taken_for_independent_find_drift_where_there_is_none() -> None:
    (row,) = (row for row in drift.rows() if row.id == "D1")
    assert row.run(FEW).others["chi-square on boxes"] == "100 %"
