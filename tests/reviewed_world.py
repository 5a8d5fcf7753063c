"""A small log whose images are reviewed: for tests of versions, exports and what trains on them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from conftest import Shell

CAR, BUS = [10, 20, 100, 60], [200, 40, 80, 50]


def line(image: str, *boxes: tuple[str, float, list[float] | None], **more: Any) -> dict[str, Any]:
    """A record of model `m`, an image of 640 by 480 pixels; boxes are (label, confidence, bbox)."""
    found = [{"label": label, "confidence": score, "bbox": box} for label, score, box in boxes]
    record = {
        "prediction_id": more.pop("id", image),
        "model_id": "m",
        "timestamp": "2026-11-20T08:00:00Z",
        "image_id": image,
        "source": "cam1",
        "image_width": 640,
        "image_height": 480,
        "detections": found,
    }
    return {**record, **more}


def said(prediction: str, type: str, index: int | None = None, **more: Any) -> dict[str, Any]:
    """A verdict of somebody who looked at the whole image."""
    row = {"prediction_id": prediction, "feedback_type": type, "detection_index": index, "scope": "exhaustive"}
    return {**row, **more}


def ingest(detmon: Shell, lines: Iterable[Mapping[str, Any]], name: str = "log.jsonl") -> None:
    """Take records into the store."""
    (detmon.folder / name).write_text("".join(json.dumps(one) + "\n" for one in lines))
    detmon("ingest", name)


def judge(detmon: Shell, verdicts: Iterable[Mapping[str, Any]], name: str = "verdicts.jsonl") -> None:
    """Take verdicts into the store."""
    (detmon.folder / name).write_text("".join(json.dumps(one) + "\n" for one in verdicts))
    detmon("feedback", "import", name)


def dataset(detmon: Shell, predictions: Iterable[str], name: str = "review") -> None:
    """Put predictions into a dataset by hand."""
    detmon("dataset", "create", name)
    detmon("item", "add", "--dataset", name, *predictions)


def reviewed(
    detmon: Shell, lines: Iterable[Mapping[str, Any]], verdicts: Iterable[Mapping[str, Any]], name: str = "review"
) -> None:
    """A dataset with all these records as items, judged so."""
    listed = list(lines)
    ingest(detmon, listed)
    dataset(detmon, [one["prediction_id"] for one in listed], name)
    if given := list(verdicts):
        judge(detmon, given)


def labels(detmon: Shell, version: str) -> dict[str, list[tuple[Any, ...]]]:
    """The labels of a version, by image id."""
    rows = detmon(
        "sql",
        "SELECT image_id, annotations FROM version_items JOIN dataset_versions v ON v.id = version_id "
        f"WHERE v.id = '{version}' OR v.name = '{version}'",
        "--format",
        "json",
    ).json
    return {row["image_id"]: [tuple(one.values()) for one in row["annotations"]] for row in rows}


def create(detmon: Shell, name: str, *args: object, dataset: str = "review") -> dict[str, Any]:
    """Make a version; its JSON."""
    made: dict[str, Any] = detmon("version", "create", dataset, "--name", name, *args, "--json").json
    return made
