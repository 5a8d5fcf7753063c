"""Versions of datasets: immutable manifests of images with their labels.

A version holds what its parent held, and the items that are reviewed when it is made, labelled as the reviews say; or,
as a first version, given labels. It never changes afterwards: it is a copy, and nothing updates or removes its rows.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from detmon import failpoints
from detmon.datasets import split
from detmon.datasets.records import ItemChange, Version, VersionDetails, VersionDiff, VersionWarning
from detmon.errors import OperationError, UnknownName, UsageError
from detmon.store import Connection, Store, statement, transaction

if TYPE_CHECKING:
    from detmon.datasets.given import Given

REASONS = {
    "ignored": "put aside (`detmon item set`)",
    "no_verdict": "set to reviewed by hand: nobody said what is on them",
    "unjudged_boxes": "some boxes have no verdict",
    "no_true_label": "an object has no true label",
    "no_true_box": "an object has no true box",
    "no_size": "boxes are shares of an image whose size is not known",
    "same_image": "a newer prediction of the same image is in the version",
}
"""Why items are left out."""


@dataclass(frozen=True)
class Plan:
    """What a version is made of; None: as the parent has it, or the default."""

    dataset_id: str
    name: str
    parent_id: str | None = None
    val_share: float | None = None
    salt: str | None = None

    def __post_init__(self) -> None:
        if not self.name.strip() or re.fullmatch(r"dv_[0-9a-f]{12}", self.name):
            raise UsageError("a version needs a name that is not empty and does not look like an id")
        if self.val_share is not None and not 0 <= self.val_share < 1:
            raise UsageError("--val must lie in [0, 1)", "0.2 is a fifth of the images")


class _Same(Exception):
    """There is a version of this name and content: its id, and what was seen on the way."""

    def __init__(self, id: str, seen: list[VersionWarning]) -> None:
        self.id = id
        self.seen = seen


def create(store: Store, plan: Plan, given: Given | None, now: datetime) -> VersionDetails:
    """Make a version, in one transaction; the same again is the same version. Raises UsageError for a name in use."""
    id = f"dv_{os.urandom(6).hex()}"
    with store.writing() as con:
        try:
            with transaction(con):
                seen = _write(con, id, plan, given, now)
                failpoints.reach("version.written")
        except _Same as same:
            id, seen = same.id, same.seen
        return details(con, id, seen)


def _write(con: Connection, id: str, plan: Plan, given: Given | None, now: datetime) -> list[VersionWarning]:
    salt, share = _rules(con, plan)
    if given is None:
        con.execute(statement("version_reviewed"), {"dataset": plan.dataset_id})
    else:
        con.register("given", given.rows(plan.dataset_id))
        con.execute(statement("version_given"))
        con.unregister("given")
    con.execute(statement("version_chosen"), {"parent": plan.parent_id})
    _divide(con, plan.parent_id, salt, share)
    for name in ("version_add_items", "version_add_left_out"):
        con.execute(statement(name), {"version": id})
    con.unregister("sides")
    items, found = digest(con, id)
    seen = [*_given_warnings(given), *_boxes_only(con)]
    for other in every(con, plan.dataset_id):
        if other.name == plan.name:
            if (other.digest, other.parent_version_id) == (found, plan.parent_id):
                raise _Same(other.id, seen)
            raise UsageError(f"{other.dataset} has a version {plan.name!r} already", "versions never change: --name")
    values = {"id": id, "dataset": plan.dataset_id, "parent": plan.parent_id, "name": plan.name}
    origin = given.origin if given else None
    more = {"origin": origin, "salt": salt, "val_share": share, "items": items, "digest": found, "now": now}
    con.execute(statement("add_version"), values | more)
    return seen


def _rules(con: Connection, plan: Plan) -> tuple[str, float]:
    """Salt and share of the split: those of the parent, which must not change, or what would stay together parts."""
    if plan.parent_id is None:
        share = split.VAL_SHARE if plan.val_share is None else plan.val_share
        return plan.salt or split.SALT, share
    [(salt, share)] = con.execute(statement("version_rules"), {"version": plan.parent_id}).fetchall()
    if plan.val_share not in (None, share) or plan.salt not in (None, salt):
        raise UsageError(f"the parent's split holds: --val {share:g}", "leave out --val and --salt")
    return salt, share


def _divide(con: Connection, parent_id: str | None, salt: str, share: float) -> None:
    import pyarrow as pa

    groups = [split.Group(*row) for row in con.execute(statement("version_groups"), {"parent": parent_id}).fetchall()]
    sides = split.sides(groups, salt, share)
    con.register(
        "sides", pa.table({"split_group": pa.array(sides, pa.string()), "split": pa.array(sides.values(), pa.string())})
    )


def _given_warnings(given: Given | None) -> list[VersionWarning]:
    return [VersionWarning(*one) for one in given.warnings] if given else []


def _boxes_only(con: Connection) -> Iterator[VersionWarning]:
    ((n,),) = con.execute("SELECT count(*) FROM chosen WHERE reason IS NULL AND boxes_only").fetchall()
    if n:
        text = f"of {n:,} images only the boxes were reviewed: objects that the model missed have no label there"
        yield VersionWarning("boxes_only", text, n)


def digest(con: Connection, version_id: str) -> tuple[int, str]:
    """How many items a version has, and the sha256 over their canonical lines, sorted, each ended by a line feed."""
    found, items = hashlib.sha256(), 0
    rows = con.execute(statement("version_lines"), {"version": version_id})
    while lines := rows.fetchmany(10_000):
        items += len(lines)
        found.update("".join(f"{line}\n" for (line,) in lines).encode())
    return items, found.hexdigest()


# --- looking ---


def every(con: Connection, dataset_id: str | None = None) -> list[Version]:
    """All versions (of a dataset), oldest first."""
    return [Version(*row) for row in _rows(con, "list_versions", dataset=dataset_id, version=None)]


def find(con: Connection, id_or_name: str, dataset_id: str | None = None) -> str:
    """The id of a version, by id or name; a name in `dataset_id` goes before those of others.

    Raises UnknownName, or UsageError where a name fits several.
    """
    rows = list(_rows(con, "version_names"))
    if any(id == id_or_name for id, *_ in rows):
        return id_or_name
    named = [row for row in rows if row[1] == id_or_name]
    near = [row for row in named if row[2] == dataset_id] or named
    if len(near) > 1:
        fits = ", ".join(f"{id} ({dataset})" for id, _, _, dataset, _ in near)
        raise UsageError(f"{id_or_name!r} fits {len(near)} versions: {fits}", "name one by its id")
    if not near:
        known = [name for _, name, *_ in rows]
        hint = None if known else "no version yet: detmon version create DATASET --name NAME"
        raise UnknownName("version", id_or_name, known, hint)
    return str(near[0][0])


def details(con: Connection, version_id: str, also: Sequence[VersionWarning] = ()) -> VersionDetails:
    """A version with its lineage, its classes, and what to bear in mind (`also` what was seen when it was made)."""
    [row] = _rows(con, "list_versions", dataset=None, version=version_id)
    version = Version(*row)
    lineage = {id: parent for id, *_, parent in _rows(con, "version_names")}
    parents: list[str] = []
    while (above := lineage.get(parents[-1] if parents else version_id)) is not None:
        parents.append(above)
    reasons = dict(_rows(con, "version_reasons", version=version_id))
    [(_, share)] = _rows(con, "version_rules", version=version_id)
    trained = list(_rows(con, "version_jobs", version=version_id))
    return VersionDetails(
        **vars(version),
        classes=classes(con, version_id),
        reasons=reasons,
        parents=tuple(parents),
        children=tuple(id for id, parent in lineage.items() if parent == version_id),
        jobs=tuple(job for job, _ in trained),
        models=tuple(model for _, model in trained if model),
        warnings=(*also, *_warnings(version, reasons, share)),
    )


def classes(con: Connection, version_id: str) -> dict[str, int]:
    """Objects by label, sorted."""
    return dict(_rows(con, "version_classes", version=version_id))


def _warnings(version: Version, reasons: Mapping[str, int], share: float) -> Iterator[VersionWarning]:
    if not version.items:
        yield VersionWarning("no_items", "the version is empty: no item is reviewed completely", 0)
    for reason, n in reasons.items():
        yield VersionWarning(reason, f"{n:,} items are left out: {REASONS[reason]}", n)
    divided = version.train + version.val
    if share and divided and not version.val:
        text = "no validation images can be set apart: all images are of one source and day, which stay together"
        yield VersionWarning("no_validation", text, 0)
    elif share and divided and abs(version.val / divided - share) > split.FAR:
        text = (
            f"{version.val / divided:.0%} of the images are for validation, not {share:.0%}: a source's day is not cut"
        )
        yield VersionWarning("split_far", text, version.val)


def diff(con: Connection, a: str, b: str) -> VersionDiff:
    """What differs from one version to another, image by image."""
    changes = tuple(ItemChange(*row) for row in _rows(con, "version_diff", a=a, b=b))
    counts = {kind: sum(one.change == kind for one in changes) for kind in ("added", "removed", "changed")}
    before, after = classes(con, a), classes(con, b)
    labels = sorted({*before, *after})
    table = {label: {"before": before.get(label, 0), "after": after.get(label, 0)} for label in labels}
    return VersionDiff(a=a, b=b, **counts, classes=table, changes=changes)


def check(con: Connection, version_id: str) -> None:
    """Raise OperationError where a version's content is not what it was when it was made."""
    [row] = _rows(con, "list_versions", dataset=None, version=version_id)
    version = Version(*row)
    if digest(con, version_id) != (version.items, version.digest):
        raise OperationError(f"the items of version {version.name!r} were changed in the store", "make it anew")


def _rows(con: Connection, name: str, **values: object) -> Iterator[tuple[Any, ...]]:
    yield from con.execute(statement(name), values).fetchall()
