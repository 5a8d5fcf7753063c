"""Names of exported pictures: no two alike on any file system, none that leads elsewhere."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from hashlib import sha256
from itertools import chain, count

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
"""What trainers take for pictures."""
LONGEST = 150
"""Bytes of a base name; with what is put before it, and `.txt`, it fits every file system."""
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029/\\]")


def name(image_id: str, image_uri: str | None, apart: str = "") -> str:
    """First 8 hex digits of sha256(image_id), `_`, the base name; `apart` stands between them where names are alike."""
    digest = sha256(image_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{digest}_{apart and apart + '_'}{base(image_id, image_uri)}"


def names(images: Iterable[tuple[str, str | None, str]]) -> list[str]:
    """A name for each (image id, address, item id); those that differ in case or accents only count as alike."""
    taken: set[str] = set()
    return [_free(taken, *one) for one in images]


def _free(taken: set[str], image_id: str, image_uri: str | None, item_id: str) -> str:
    for apart in chain(("", item_id.removeprefix("it_")), map(str, count(1))):
        found = name(image_id, image_uri, apart)
        stem = unicodedata.normalize("NFKC", found.rpartition(".")[0]).casefold()
        if stem not in taken:
            taken.add(stem)
            return found
    raise AssertionError("numbers have no end")


def base(image_id: str, image_uri: str | None) -> str:
    """The last part of an image id, with the suffix of a picture: its own, else its address's, else `.jpg`."""
    last = _last(image_id)
    stem, suffix = _split(last)
    if suffix.lower() not in SUFFIXES:
        stem, suffix = last, _split(_last((image_uri or "").partition("?")[0]))[1]
        suffix = suffix if suffix.lower() in SUFFIXES else ".jpg"
    return f"{_cut(UNSAFE.sub('_', stem), LONGEST - len(suffix))}{suffix}"


def _last(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _split(last: str) -> tuple[str, str]:
    """A name without its suffix, and the suffix; a name that only begins with a dot has none."""
    stem, dot, suffix = last.rpartition(".")
    return (stem, dot + suffix) if stem else (last, "")


def _cut(text: str, most: int) -> str:
    """As much of a text as fits into so many bytes."""
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")
