"""Datasets: named collections of predictions chosen for review. An item is one prediction in one dataset.

`versions` freezes what was reviewed, `export` writes it for trainers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from detmon.datasets.records import Dataset, Item, ItemStatus
from detmon.errors import UnknownName, UsageError
from detmon.store import Connection, statement

STATUSES = ("needs_review", "reviewed", "ignored")


def create(con: Connection, name: str, now: datetime) -> Dataset:
    """Make a dataset, or return the one of this name."""
    if not name.strip() or re.fullmatch(r"ds_[0-9a-f]{12}", name):
        raise UsageError("a dataset needs a name that is not empty and does not look like an id")
    con.execute(statement("add_dataset"), {"id": f"ds_{os.urandom(6).hex()}", "name": name, "now": now})
    return next(dataset for dataset in every(con) if dataset.name == name)


def every(con: Connection) -> list[Dataset]:
    """All datasets, by name."""
    found = con.execute(statement("list_datasets")).fetchall()
    return [
        Dataset(id, name, dict(zip(STATUSES, counts, strict=True)), created_at)
        for id, name, created_at, *counts in found
    ]


def find(con: Connection, id_or_name: str) -> str:
    """The id of the dataset with this id or name. Raises UnknownName."""
    names: dict[str, str] = dict(con.execute(statement("dataset_names")).fetchall())
    if id_or_name in names:
        return names[id_or_name]
    if id_or_name in names.values():
        return id_or_name
    raise UnknownName("dataset", id_or_name, names, None if names else "no dataset yet: detmon dataset create NAME")


def count(con: Connection, dataset_id: str, status: str | None) -> int:
    """How many items a dataset has with one status (None: any)."""
    ((found,),) = con.execute(statement("count_items"), {"dataset": dataset_id, "status": status}).fetchall()
    return int(found)


def items(con: Connection, dataset_id: str, status: str | None, limit: int) -> list[Item]:
    """Items of a dataset, in an order that is random but fixed: the first hundred are a random hundred.

    Raises UnknownName for a status that does not exist.
    """
    _check_status(status)
    asked = {"dataset": dataset_id, "status": status, "limit": limit}
    found = con.execute(statement("list_items"), asked).fetchall()
    return [Item(*(*about, tuple(map(_box, boxes)))) for *about, boxes in found]


def set_status(con: Connection, item_id: str, status: str, now: datetime) -> ItemStatus:
    """Give an item a status. Raises UnknownName for an unknown item or status."""
    _check_status(status)
    found = con.execute(statement("set_item_status"), {"item": item_id, "status": status, "now": now}).fetchone()
    if found is None:
        raise UnknownName("item", item_id, hint="`detmon item list --dataset NAME` lists the items")
    return ItemStatus(*found)


def add_by_hand(con: Connection, dataset_id: str, prediction_ids: Sequence[str], now: datetime) -> list[ItemStatus]:
    """Add predictions to a dataset; one that is an item already stays as it is. Raises UnknownName, adding nothing."""
    asked = {"dataset": dataset_id, "predictions": list(dict.fromkeys(prediction_ids))}
    con.execute(statement("add_items_by_hand"), {**asked, "now": now})
    found = [ItemStatus(*row) for row in con.execute(statement("items_of_predictions"), asked).fetchall()]
    missing = set(prediction_ids) - {item.prediction_id for item in found}
    if missing:
        names = ", ".join(sorted(missing)[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise UnknownName("prediction", names, hint="nothing was added; `detmon sql` finds the ids of predictions")
    return found


def _check_status(status: str | None) -> None:
    if status is not None and status not in STATUSES:
        raise UnknownName("status", status, STATUSES)


def _box(stored: Mapping[str, Any]) -> dict[str, Any]:
    confidence, sides = stored["confidence"], [stored[side] for side in ("x", "y", "w", "h")]
    box = {
        "label": stored["label"],
        "confidence": None if confidence is None else round(confidence, 6),
        "bbox": None if None in sides else [round(side, 3) for side in sides],
    }
    return box | {key: stored[key] for key in ("detection_id", "track_id") if stored[key] is not None}
