"""Items to review, and what became of them: for the tests of review."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from conftest import Shell


def line(name: str, boxes: Any, size: Any, n: int = 0) -> dict[str, Any]:
    """One prediction of a log."""
    sized = {"image_width": size[0], "image_height": size[1]} if size else {}
    found = [{"label": label, "confidence": score, "bbox": box} for label, score, box in boxes]
    at = {"timestamp": f"2026-11-20T08:{n // 60:02}:{n % 60:02}Z", "image_id": f"cam1/{name}.jpg"}
    return {"model_id": "veh@3", "prediction_id": name, **at, **sized, "detections": found}


def fill(detmon: Shell, images: Mapping[str, Any]) -> None:
    """Ingest images, and make items of them."""
    lines = [line(name, one["boxes"], one["size"], n) for n, (name, one) in enumerate(images.items())]
    (detmon.folder / "log.jsonl").write_text("\n".join(map(json.dumps, lines)))
    detmon("--quiet", "ingest", "log.jsonl")
    detmon("dataset", "create", "review")
    detmon("item", "add", "--dataset", "review", *images)


def exported(detmon: Shell, format: str, *more: object) -> str:
    """The text of an export."""
    detmon("review", "export", "--dataset", "review", "--format", format, "--out", f"out.{format}", *more)
    return (detmon.folder / f"out.{format}").read_text("utf-8")


def taken(detmon: Shell, content: object, *more: object, code: int = 0, name: str = "back") -> Any:
    """The answer of an import."""
    file = detmon.folder / name
    file.write_bytes(content if isinstance(content, bytes) else str(content).encode())
    done = detmon("review", "import", name, "--json", *more, code=code)
    return done.json if code == 0 else done


def said(detmon: Shell, prediction: str | None = None) -> list[tuple[Any, ...]]:
    """What counts now: (prediction, place, type, true label, true box, scope), sorted."""
    rows = detmon("feedback", "list", "--limit", 10_000, "--json").json
    return sorted(
        (
            (row["prediction_id"], row["detection_index"], row["type"], row["true_label"], row["bbox"], row["scope"])
            for row in rows
            if row["current"] and prediction in (None, row["prediction_id"])
        ),
        key=str,
    )


def statuses(detmon: Shell) -> dict[str, str]:
    """Prediction → its item's status."""
    return {row["prediction_id"]: row["status"] for row in detmon("item", "list", "--dataset", "review", "--json").json}


def near(box: list[float] | None) -> list[int] | None:
    return None if box is None else [round(side) for side in box]
