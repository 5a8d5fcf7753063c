"""The serving side's logger: what a record costs the server, alone and beside an inference of 10 ms."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import ENVIRONMENT, Row, python

SERVER = """
import json, sys, time
from detmon.log import Logger
folder, records, flush = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
found = [("car", 0.912345, [10.25 + k, 20.5, 100.75, 60.125]) for k in range(6)]

def each(log, inference):
    spent = []
    for number in range(records if not inference else records // 50):
        time.sleep(inference)
        begin = time.perf_counter()
        log.write(found, image_id=f"{number}.jpg", source="cam1", image_size=(1920, 1080))
        spent.append(time.perf_counter() - begin)
    return spent

with Logger(f"{folder}/log-{flush}.jsonl", "m@1", flush_seconds=flush, on_error="raise") as log:
    alone, beside = each(log, 0), each(log, 0.01)
broken = Logger(f"{folder}/log-{flush}.jsonl/nowhere.jsonl", "m@1", flush_seconds=flush)
failing = each(broken, 0)
broken.flush()
assert broken.errors == records and broken.written == 0, (broken.errors, broken.written)
print(json.dumps({"alone": alone, "beside": beside, "failing": failing}))
"""


def rows(folder: Path, images: int, times: int) -> Iterator[Row]:
    """The table's rows: 6 boxes a record; the file where nothing can be written fails at each record."""
    import subprocess

    records = min(images, 20_000)
    for flush in (0.0, 1.0):
        command = python(SERVER, folder, records, flush)
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)
        spent = {name: sorted(found) for name, found in json.loads(done.stdout).items()}
        rate = records / sum(spent["alone"])
        unit = f"flush_seconds={flush:.0f}"
        yield Row("log a record, 6 boxes", unit, "≥ 5,000 a second", f"{rate:,.0f} a second", said(spent["alone"]))
        yield Row("… beside 10 ms of inference", unit, "≤ 1 ms", middle(spent["beside"]), said(spent["beside"]))
        yield Row("… that cannot be written", unit, "≤ 1 ms", middle(spent["failing"]), said(spent["failing"]))


def middle(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.2f} ms"


def said(seconds: list[float]) -> str:
    return f"99 % within {seconds[int(0.99 * len(seconds))] * 1000:.2f} ms, longest {seconds[-1] * 1000:.1f} ms"
