"""What the environment says: a variable `NAME`, or the file that `NAME_FILE` names."""

from __future__ import annotations

import os
from pathlib import Path


def value(name: str) -> str | None:
    """The variable, or the content of the file that `NAME_FILE` names; None where there is neither."""
    found = os.environ.get(name, "").strip()
    if found:
        return found
    file = os.environ.get(f"{name}_FILE")
    return content(file) if file else None


def content(path: str) -> str | None:
    """The text of a file without blanks around it; None where there is none, or it cannot be read."""
    try:
        return Path(path).read_text("utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
