"""The options of `ingest` that say how a log is read, for other verbs that read logs."""

from __future__ import annotations

from typing import Any

from detmon.cli import options
from detmon.cli.ingest import READING, ingest

reading_options = options.borrowing(ingest, READING)
"""`verb(…, **reading)` with the reading options that it has not itself; its help does not list them again."""


def given(reading: dict[str, Any]) -> dict[str, Any]:
    """The reading options that were given."""
    return {name: value for name, value in reading.items() if value not in (None, False, [])}
