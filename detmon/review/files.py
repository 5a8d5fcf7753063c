"""Reviewed files, told apart by their content."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Mapping
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path
from typing import Any

from detmon.errors import InputRefused, OperationError
from detmon.formats import Source
from detmon.formats.inputs import PARQUET, Input
from detmon.formats.remote import opened
from detmon.review import coco, cvat, label_studio, table
from detmon.review.looks import Found, parsed

FORMATS = "Label Studio's JSON, CVAT for images 1.1, COCO, our CSV, or the file of the review page"
LARGEST = 1 << 30
"""Bytes that a document in an archive may have."""


def read(source: str) -> Found:
    """What reviewers said, in a file of any of the formats. Raises InputRefused, OperationError."""
    if source != "-" and Path(source).expanduser().is_dir():
        raise OperationError(f"cannot read {source}: it is a folder", code="unreadable")
    here = nullcontext(Source("-", stream=sys.stdin.buffer)) if source == "-" else opened(source)
    with here as place:
        data = Input(place)
        try:
            content = data.whole()
        finally:
            data.close()
        name = place.name
    return recognised(name, _unpacked(name, content) if content.startswith(b"PK\x03\x04") else content)


def _unpacked(name: str, content: bytes) -> bytes:
    """The one document in an archive, as tools hand them out."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            inside = [one for one in archive.infolist() if one.filename.casefold().endswith((".xml", ".json", ".csv"))]
            if len(inside) != 1:
                found = ", ".join(one.filename for one in inside[:5]) or "none"
                hint = "unpack it and name one"
                raise InputRefused(f"{name} holds not one document but: {found}", hint, code="unknown_format")
            if inside[0].file_size > LARGEST:
                raise OperationError(f"{name}: {inside[0].filename} is larger than 1 GiB", code="unreadable")
            return archive.read(inside[0])
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise OperationError(f"{name} is a damaged archive: {error}", code="unreadable") from None


def recognised(name: str, content: bytes) -> Found:
    """The looks in a document, whose format its content tells."""
    text = content.removeprefix(b"\xef\xbb\xbf").lstrip()
    if content.startswith(PARQUET):
        hint = "`detmon feedback import` takes verdicts in Parquet"
        raise InputRefused(f"{name} is Parquet, and no reviewed file", hint, code="unknown_format")
    if text[:14].lower() == b"<!doctype html":
        hint = "in it, press S: the file that it hands out has the verdicts"
        raise InputRefused(f"{name} is the review page itself", hint, code="unknown_format")
    if text.startswith(b"<") or content.startswith((b"\xff\xfe", b"\xfe\xff")):
        found = Found(name, "cvat")
        cvat.read(found, content)
        return found
    if text[:1] in (b"{", b"["):
        return _of_json(name, content)
    if not text:
        raise InputRefused(f"{name} is empty", f"it takes {FORMATS}", code="unknown_format")
    found = Found(name, "csv")
    table.read_csv(found, content)
    return found


def _of_json(name: str, content: bytes) -> Found:
    try:
        said = parsed(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        first = _first_line(content)
        if "feedback_type" in first or "type" in first:
            said = [first]
        elif "data" in first:
            raise InputRefused(f"{name} is JSON Lines", "export it as JSON", code="unknown_format") from None
        else:
            raise OperationError(f"{name} is cut off or no JSON: {error}", code="unreadable") from None
    if isinstance(said, dict) and ("feedback_type" in said or "type" in said):  # a file of one line
        said = [said]
    if isinstance(said, dict) and "images" in said:
        found = Found(name, "coco")
        coco.read(found, said)
    elif isinstance(said, dict) and "annotations" in said:
        found = Found(name, "label-studio")
        label_studio.read(found, [said])
    elif isinstance(said, list) and said and isinstance(said[0], dict) and "feedback_type" in said[0]:
        found = Found(name, "html")
        table.read_jsonl(found, content)
    elif isinstance(said, list) and all(isinstance(one, dict) for one in said):
        found = Found(name, "label-studio")
        label_studio.read(found, said)
    else:
        raise InputRefused(f"{name} is no reviewed file", f"it takes {FORMATS}", code="unknown_format")
    return found


def _first_line(content: bytes) -> Mapping[str, Any]:
    try:
        first = parsed(content.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")[0].decode())
    except (ValueError, RecursionError):
        return {}
    return first if isinstance(first, dict) else {}
