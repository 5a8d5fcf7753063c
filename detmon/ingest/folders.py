"""Folders that are one log: a file an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from detmon import formats
from detmon.errors import DetmonError
from detmon.formats import Source
from detmon.hookspecs import AnyReader
from detmon.ingest.sources import settings


def joined(
    sources: Sequence[Source],
    given: Mapping[str, Any],
    tables: Mapping[str, Any],
    readers: Mapping[str, Sequence[AnyReader]],
) -> list[Source]:
    """The sources, those that are files of one image each made one source a folder, where its first file was.

    Files of one folder with one extension belong together. Whether they are of one image each, the options say (a map
    of `@stem` or `@name`), or the reader that recognises the first file that is not empty (`per_image`).
    """
    groups: dict[tuple[Path, str], list[Source]] = {}
    for source in sources:
        if source.path is not None and not source.follow:
            groups.setdefault((source.path.parent, source.path.suffix.lower()), []).append(source)
    together = {
        source.name: key
        for key, group in groups.items()
        if len(group) > 1 and _per_image(group, given, tables, readers)
        for source in group
    }
    found: dict[object, Source] = {}
    for place, source in enumerate(sources):
        key = together.get(source.name)
        if key is None:
            found[place] = source
        elif key not in found:
            files = tuple(dict.fromkeys(one.path for one in groups[key] if one.path is not None))
            found[key] = replace(source, name=str(key[0]), path=key[0], files=files)
    return list(found.values())


def _per_image(
    group: Sequence[Source],
    given: Mapping[str, Any],
    tables: Mapping[str, Any],
    readers: Mapping[str, Sequence[AnyReader]],
) -> bool:
    first = next((source for source in group if source.path and _size(source.path)), None)
    if first is None:
        return False
    try:
        return formats.is_per_image(first, settings(given, tables, first).options, readers)
    except DetmonError:
        return False  # it is told again, when the file is read


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
