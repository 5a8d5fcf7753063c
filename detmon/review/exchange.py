"""Reviews by Label Studio's API: items become tasks of a project, its annotations become feedback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from detmon import failpoints
from detmon.errors import OperationError, UsageError
from detmon.review import back, label_studio, out
from detmon.review.looks import Found
from detmon.review.out import Chosen, Wanted
from detmon.review.records import ReviewImported, ReviewPushed
from detmon.review.server import Server, connect
from detmon.review.xml import tree
from detmon.store import Store

BATCH = 250
"""So many tasks are sent at a time."""


class Controls(NamedTuple):
    """The names in a project's label configuration that tasks refer to."""

    control: str
    target: str
    image: str


def push(store: Store, wanted: Wanted, url: str | None, project: str, note: Callable[[str], None]) -> ReviewPushed:
    """Send the items that have no task yet; the project is made where its title is new.

    Raises UsageError for a project whose labels do not do, before anything is sent; OperationError.
    """
    with connect(url) as server:
        chosen = out.choose(store, wanted)
        found = server.project(project)
        created = found is None
        if found is None:
            found = server.create(project, label_studio.config(chosen.labels))
            note(f"made project {found['id']}, {project!r}")
        controls = _controls(found, chosen)
        number = int(found["id"])
        present = set() if created else _present(server, number)
        new = [task for task in chosen.tasks if task.item_id not in present]
        for begin in range(0, len(new), BATCH):
            server.send(number, [label_studio.written(task, *controls) for task in new[begin : begin + BATCH]])
            failpoints.reach("review.pushed")
    return ReviewPushed(
        dataset_id=chosen.dataset_id,
        url=server.name,
        project=number,
        created=created,
        items=len(chosen.tasks),
        pushed=len(new),
        present=len(chosen.tasks) - len(new),
        without_boxes=sum(bool(task.boxes) and not task.size for task in new),
        warnings=tuple(out.warnings(new, "label-studio")),
    )


def _present(server: Server, project: int) -> set[str]:
    """The items whose task is in the project."""
    found = set()
    for task in server.tasks(project):
        about = (task.get("data") or {}).get("detmon")
        if isinstance(about, dict):
            found.add(str(about.get("item")))
    return found


def _controls(project: dict[str, Any], chosen: Chosen) -> Controls:
    """The controls for boxes. Raises UsageError where there are none, or a label is missing."""
    name = f"project {project['id']} ({project.get('title')})"
    needed = label_studio.config(chosen.labels)
    root = tree(str(project.get("label_config") or "<View/>"), f"the label configuration of {name}")
    images = {one.get("name"): str(one.get("value") or "") for one in root.iter("Image")}
    for control in root.iter("RectangleLabels"):
        target = control.get("toName")
        image = images.get(target, "")
        if not image.startswith("$") or not control.get("name") or target is None:
            continue
        labels = {str(one.get("value")) for one in control.iter("Label")}
        missing = sorted({box.label for task in chosen.tasks for box in task.boxes} - labels)
        if missing:
            shown = ", ".join(missing[:10]) + (f" and {len(missing) - 10} more" if len(missing) > 10 else "")
            hint = f"add them in the project's settings; all the labels: {needed}"
            raise UsageError(f"{name} lacks the labels {shown}", hint)
        return Controls(str(control.get("name")), target, image.removeprefix("$"))
    raise UsageError(f"{name} has no RectangleLabels for an image", f"its label configuration may be: {needed}")


def pull(store: Store, url: str | None, project: str, options: back.Options, now: datetime) -> ReviewImported:
    """Take what was annotated. Raises UsageError, OperationError."""
    with connect(url) as server:
        found = server.project(project)
        if found is None:
            raise UsageError(f"{server.name} has no project {project!r}", "`review push` makes it")
        tasks: Sequence[Any] = server.annotated(int(found["id"]))
        looks = Found(f"{server.name}/projects/{found['id']}", "label-studio")
    if not isinstance(tasks, list):
        raise OperationError(f"{looks.name}: the export is no list of tasks")
    label_studio.read(looks, tasks)
    return back.take(store, looks, options, now)
