"""`doctor` beside `status`, which reads the hourly sums only; and with all sums proven."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import synthetic
from benchmarks.measure import Row, detmon, interleaved, run


def rows(folder: Path, images: int, times: int) -> Iterator[Row]:
    """The table's rows."""
    log = synthetic.write_parquet(folder / "log.parquet", images)
    run(detmon("--db", "log.duckdb", "ingest", log), folder)
    verbs = {"doctor": ("doctor",), "doctor --full": ("doctor", "--full"), "status": ("status",)}
    works = {name: partial(run, detmon("--db", "log.duckdb", *verb), folder) for name, verb in verbs.items()}
    costs = interleaved(works, times)
    budgets = {"doctor": "≤ 5 s", "doctor --full": "≤ 20 s a million images"}
    for name, budget in budgets.items():
        cost = costs[name]
        figures = f"{cost.cpu:.1f} s CPU, {cost.megabytes:.0f} MB; status {costs['status'].wall:.1f} s"
        yield Row(f"{name}, {images:,} images", "wall", budget, f"{cost.wall:.1f} s", figures)
