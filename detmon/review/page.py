"""The review page: one HTML file with its script, for the browser of somebody who has nothing else installed."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import mimetypes
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from detmon.review.looks import boxes_in
from detmon.review.tasks import Task


def written(
    dataset_id: str, name: str, tasks: Sequence[Task], labels: Sequence[str], file: Path, *, embed: bool = False
) -> str:
    """The page. Images are named as seen from its folder, or with `embed` are in it."""
    items = [_item(task, _embedded(task) if embed else _address(task, file)) for task in tasks]
    said = {"dataset": dataset_id, "file": f"{file.stem}.jsonl", "labels": list(labels), "items": items}
    style, script = _part("page.css"), _part("page.js")
    policy = (
        f"default-src 'none'; img-src 'self' file: http: https: data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "title": html.escape(f"Review: {name}"),
        "style": style,
        "data": json.dumps(said, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c"),
        "script": script,
    }
    pieces = _part("page.html").split("{")
    return pieces[0] + "".join(parts[key] + rest for key, rest in (one.split("}", 1) for one in pieces[1:]))


def _item(task: Task, address: str) -> dict[str, Any]:
    return {
        "id": task.item_id,
        "prediction_id": task.prediction_id,
        "image": task.image_id,
        "model": task.model_id,
        "reasons": list(task.reasons),
        "src": address,
        "size": task.size,
        "hidden": len(task.detections) - len(task.boxes),
        "boxes": [
            {"index": box.index, "label": box.label, "score": box.confidence, "xywh": xywh}
            for box, xywh in boxes_in(task.boxes)
        ],
    }


def _address(task: Task, file: Path) -> str:
    """Where a browser finds the image: a URL as it is, a local file as seen from the page."""
    if task.local is None or not task.is_file:
        return task.address
    return quote(os.path.relpath(task.local.absolute(), file.absolute().parent).replace(os.sep, "/"))


def _embedded(task: Task) -> str:
    """The image as a data URL; its address where it cannot be read."""
    try:
        content = task.local.read_bytes() if task.local else b""
    except OSError:
        content = b""
    kind = mimetypes.guess_type(task.image_id)[0] or "image/jpeg"
    return f"data:{kind};base64,{base64.b64encode(content).decode()}" if content else task.address


def _part(name: str) -> str:
    return resources.files("detmon.review").joinpath(name).read_text("utf-8")


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
