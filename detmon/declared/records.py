"""What `apply` reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from detmon.records import Record


@dataclass(frozen=True)
class Declared(Record):
    """One thing that a file declares, or that an earlier one did.

    `kind` is model, baseline, engine, alert or ab_test. `difference`: of what was changed, field → (old, new).
    """

    kind: str
    name: str
    model_id: str | None = None
    difference: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    reason: str | None = None


@dataclass(frozen=True)
class Applied(Record):
    """What became of a file's declarations.

    `waiting` could not be made yet, each with its `reason`. `undeclared` was made by an earlier apply and is no longer
    in the file: `--prune` removes it, but for what is `kept` for its `reason`.
    """

    file: str
    dry_run: bool
    created: tuple[Declared, ...]
    changed: tuple[Declared, ...]
    unchanged: tuple[Declared, ...]
    removed: tuple[Declared, ...]
    waiting: tuple[Declared, ...]
    undeclared: tuple[Declared, ...]
    kept: tuple[Declared, ...]
