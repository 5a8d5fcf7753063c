"""`version create|diff`, `export VERSION`: a hundred thousand reviewed images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import synthetic
from benchmarks.measure import Row, detmon, run
from benchmarks.quality import reviews

MODEL = "synthetic@1"
MOST = 100_000
ENGINE = "[random_sample]\nenabled = true\nrate = 1\n"


def rows(folder: Path, images: int, times: int) -> Iterator[Row]:
    """Each verb once, labels only; a version is made once, and cannot be made again."""
    store, images = folder / "versions.duckdb", min(images, MOST)
    log = synthetic.write_parquet(folder / "versions.parquet", images)
    run(detmon("-q", "--db", store, "ingest", log), folder)
    (folder / "all.toml").write_text(ENGINE, "utf-8")
    run(detmon("--db", store, "dataset", "create", "all"), folder)
    configure = ("engine", "configure", "--model", MODEL, "--dataset", "all", "--file", folder / "all.toml")
    run(detmon("--db", store, *configure), folder)
    run(detmon("--db", store, "engine", "run"), folder)
    reviews(store, folder / "verdicts.parquet")
    run(detmon("--db", store, "feedback", "import", folder / "verdicts.parquet"), folder)
    for verb in (
        ("version", "create", "all", "--name", "v1"),
        ("version", "create", "all", "--name", "v2", "--parent", "v1"),
        ("version", "diff", "v1", "v2"),
        ("export", "v1", "--format", "coco", "--no-images", "--out", folder / "coco"),
        ("export", "v1", "--format", "yolo", "--no-images", "--out", folder / "yolo"),
        ("export", "predictions", "--out", folder / "log"),
    ):
        cost = run(detmon("--db", store, *verb), folder)
        work = " ".join(str(word) for word in verb if not str(word).startswith(str(folder)))
        yield Row(
            f"{work}, {images:,} images",
            "-",
            "seconds",
            f"{cost.wall:.1f} s",
            f"{cost.cpu:.1f} s CPU, {cost.megabytes:.0f} MB",
        )
