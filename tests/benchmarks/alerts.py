"""`alert check`: whole processes against importing DuckDB, which each of them has to do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import synthetic
from benchmarks.measure import Cost, Row, detmon, interleaved, python, run

RULES = (
    ("avg_confidence", "lt", 0.1),
    ("low_confidence_rate", "gt", 0.9),
    ("p95_latency_ms", "gt", 500),
    ("p99_latency_ms", "gt", 500),
    ("avg_latency_ms", "gt", 500),
    ("prediction_count", "lt", 1),
    ("detection_count", "lt", 1),
    ("detections_per_image", "gt", 50),
    ("no_detection_rate", "gt", 0.9),
    ("error_rate", "gt", 0.9),
)
"""Ten rules over the last hour, none of which fires."""


MANY = """
from detmon import Client
client = Client(db={store!r})
for window in ("15m", "1h", "6h", "24h"):
    for number in range(5):
        for metric, operator, threshold in {rules!r}:
            condition = dict(metric=metric, operator=operator, threshold=threshold, window=window, by=["source"])
            client.create_alert("synthetic@1", f"{{metric}} {{window}} {{number}}", {{**condition, "every": "5m"}})
"""
"""Two hundred rules, each on every camera."""


def rows(folder: Path, images: int, times: int) -> Iterator[Row]:
    """A run in which ten rules are due, one in which nothing is, backtests, and a run of 200 rules on 50 cameras."""
    store = folder / "alerts.duckdb"
    log = synthetic.write_parquet(folder / "alerts.parquet", images)
    run(detmon("-q", "--db", store, "ingest", log), folder)
    log.unlink()
    for metric, operator, threshold in RULES:
        create = ("alert", "create", metric, "--model", "synthetic@1", "--metric", metric, "--operator", operator)
        run(detmon("--db", store, *create, "--threshold", threshold, "--window", "1h"), folder)
    now = (synthetic.START + timedelta(days=synthetic.DAYS - 1)).replace(tzinfo=None)

    def check(*, due: bool) -> Cost:
        nonlocal now
        now += timedelta(minutes=5 if due else 0)
        return run(detmon("--db", store, "--now", now.isoformat() + "Z", "alert", "check"), folder)

    check(due=True)
    works = {
        "duckdb": lambda: run(python("import duckdb"), folder),
        "due": lambda: check(due=True),
        "idle": lambda: check(due=False),
    }
    costs = interleaved(works, max(times, 7))
    for name, what in (("due", "10 rules due"), ("idle", "nothing due")):
        wall, base = costs[name].wall, costs["duckdb"].wall
        figures = f"{wall * 1000:.0f} ms; import duckdb {base * 1000:.0f} ms"
        work = f"alert check, {what}, {images:,} images"
        yield Row(work, '`python -c "import duckdb"`', "≤ 2.5×", f"{wall / base:.2f}×", figures)
    end = ("--now", (synthetic.START + timedelta(days=synthetic.DAYS)).replace(tzinfo=None).isoformat() + "Z")
    for name, by in (("one value a slot", ()), ("50 cameras", ("--by", "source"))):
        rule = ("--model", "synthetic@1", "--metric", "avg_confidence", "--operator", "lt", "--threshold", 0.6)
        replay = ("alert", "backtest", *rule, "--window", "1h", *by)
        cost = interleaved({name: lambda run_it=replay: run(detmon("--db", store, *end, *run_it), folder)}, times)[name]
        yield Row(f"alert backtest, 28 days of 5m, {name}, {images:,} images", "", "", f"{cost.wall:.1f} s")
    run(python(MANY.format(store=str(store), rules=RULES)), folder)
    many = interleaved({"many": lambda: check(due=True)}, times)["many"]
    yield Row(
        f"alert check, 210 rules due, 200 of them on 50 cameras, {images:,} images", "", "≤ 5 s", f"{many.wall:.1f} s"
    )
