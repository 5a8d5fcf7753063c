"""`--categories`: class ids → names, from COCO, a YOLO `data.yaml`, a JSON map, or one name a line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detmon.errors import UsageError
from detmon.formats.remote import opened

_CLASS_ID = re.compile(r"(-?\d+)(?:\.0+)?", re.ASCII)


@dataclass(frozen=True)
class Names:
    """Names by class id. `listed`: a plain list, counted from 0, so that an offset can apply."""

    by_id: Mapping[int, str]
    listed: bool

    def name(self, number: int, offset: int) -> str | None:
        """The name of a class id, or None."""
        return self.by_id.get(number + offset if self.listed else number)


def class_id(label: str | None) -> int | None:
    """The number that a label is, also written as a fraction (`2.0`, as data frames do); None for a name."""
    found = _CLASS_ID.fullmatch(label or "")
    return int(found[1]) if found else None


def read_names(path: Path | str) -> Names:
    """The names in a file; raises UsageError when there are none."""
    try:
        with opened(path) as source:
            assert source.path is not None
            text = source.path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read --categories {path}: {error}") from None
    found = _of_json(text) if text.lstrip()[:1] in ("{", "[") else _of_yaml(text) if "names:" in text else None
    if found is None and text.lstrip()[:1] not in ("{", "["):
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        found = Names(dict(enumerate(lines)), listed=True)
    if found is None or not found.by_id:
        raise UsageError(f"--categories {path} has no names", "COCO categories, a YOLO data.yaml, or one name a line")
    return found


def _of_json(text: str) -> Names | None:
    try:
        found: Any = json.loads(text)
    except ValueError:
        return None
    if isinstance(found, dict):
        found = found.get("categories", found.get("names", found))
    if isinstance(found, list) and all(isinstance(one, str) for one in found):
        return Names(dict(enumerate(found)), listed=True)
    try:
        if isinstance(found, list):
            return Names({int(one["id"]): str(one["name"]) for one in found}, listed=False)
        return Names({int(key): str(value) for key, value in found.items()}, listed=False)
    except (KeyError, TypeError, ValueError):
        return None


_QUOTED = re.compile(r'(- +|\d+ *: *)"(\\.|[^"\\])*"')
"""An entry in double quotes, which is as JSON has it."""


def _unquoted(name: str) -> str:
    if name.startswith('"'):
        try:
            return str(json.loads(name))
        except ValueError:
            pass
    return name.strip("'\"")


def _of_yaml(text: str) -> Names:
    """The `names` of a YOLO data.yaml: a map `0: person`, a list of `- person`, or `[person, car]`."""
    after = re.split(r"^names:", text, maxsplit=1, flags=re.MULTILINE)[-1]
    first, _, rest = after.partition("\n")
    first = first.split("#")[0].strip()
    if first.startswith(("[", "{")):
        inline = after[: after.find("]" if first[0] == "[" else "}")].strip(" \n[{")
        entries = [entry.strip() for entry in inline.split(",") if entry.strip()]
    else:
        entries = []
        for line in rest.splitlines():
            entry = line.strip() if _QUOTED.fullmatch(line.strip()) else line.split(" #")[0].strip()
            if entry and not line.startswith((" ", "-", "\t")) and not entry.startswith("#"):
                break
            if entry and not entry.startswith("#"):
                entries.append(entry.removeprefix("- ").strip())
    by_id: dict[int, str] = {}
    for place, entry in enumerate(entries):
        match = re.fullmatch(r"(\d+)\s*:\s*(.+)", entry)
        number, name = (int(match[1]), match[2]) if match else (place, entry)
        by_id[number] = _unquoted(name.strip())
    return Names(by_id, listed=True)
