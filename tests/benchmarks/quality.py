"""`quality show`: against one scan of the scores that it needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import synthetic
from benchmarks.measure import Row, detmon, interleaved, python, run

MODEL = "synthetic@1"
REVIEWED = 20_000
ENGINE = """
[low_confidence]
enabled = true
threshold = 0.3
sample_rate = {rate}
[random_sample]
enabled = true
rate = {rate}
"""
SCAN = """
import sys, duckdb
con = duckdb.connect(sys.argv[1], read_only=True)
con.execute('''SELECT d.label, d.confidence, count(*) FROM (SELECT unnest(list_transform(detections,
  lambda d: {label: d.label, confidence: d.confidence})) AS d FROM predictions) GROUP BY ALL''').fetchnumpy()
"""


def rows(folder: Path, images: int, times: int) -> Iterator[Row]:
    """All that is stored, with a few ten thousand reviewed images."""
    store = folder / "quality.duckdb"
    log = synthetic.write_parquet(folder / "quality.parquet", images)
    run(detmon("-q", "--db", store, "ingest", log), folder)
    log.unlink()
    (folder / "engine.toml").write_text(ENGINE.format(rate=min(REVIEWED / images, 1)), "utf-8")
    run(detmon("--db", store, "dataset", "create", "review"), folder)
    configure = ("engine", "configure", "--model", MODEL, "--dataset", "review", "--file", folder / "engine.toml")
    run(detmon("--db", store, *configure), folder)
    run(detmon("--db", store, "engine", "run"), folder)
    reviewed = reviews(store, folder / "reviews.parquet")
    run(detmon("--db", store, "feedback", "import", folder / "reviews.parquet"), folder)
    works = {
        "scan": lambda: run(python(SCAN, store), folder),
        "show": lambda: run(detmon("--db", store, "quality", "show", "--model", MODEL, "--json"), folder),
    }
    costs = interleaved(works, times)
    show, scan = costs["show"], costs["scan"]
    figures = f"{show.wall:.2f} s, {show.cpu:.2f} s CPU, {show.megabytes:.0f} MB; scan {scan.cpu:.2f} s CPU"
    work = f"quality show, {images:,} images, {reviewed:,} reviewed"
    yield Row(work, "one scan of labels and scores, CPU", "≤ 6×", f"{show.cpu / scan.cpu:.1f}×", figures)


def reviews(store: Path, path: Path) -> int:
    """Complete reviews of all items: a box is correct with the chance that its score states."""
    with duckdb.connect(str(store), read_only=True) as con:
        con.execute(
            "COPY (SELECT prediction_id, n AS detection_index, 'exhaustive' AS scope, "
            "CASE WHEN hash(prediction_id, n) % 10000 < 10000 * confidence THEN 'correct' ELSE 'false_positive' END "
            "AS feedback_type FROM (SELECT p.prediction_id, unnest(range(array_length(p.detections))) AS n, "
            "unnest(p.detections).confidence AS confidence FROM predictions p JOIN items i USING (prediction_id)) "
            "UNION ALL SELECT prediction_id, NULL, 'exhaustive', 'correct' "
            f"FROM predictions p JOIN items i USING (prediction_id) WHERE n_detections = 0) TO '{path}'"
        )
        found = con.execute("SELECT count(*) FROM items").fetchone()
    assert found
    return int(found[0])
