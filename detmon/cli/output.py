"""The only writer to stdout. stdout is data; notes, progress and errors go to stderr."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, TextIO

from detmon.errors import DetmonError, Mistakes
from detmon.records import Record, plain

FOLDED = 17
"""A column of a table is folded to no fewer letters; where that is too wide, the last columns are left out."""
NOTHING = "-"


class Format(StrEnum):
    """How rows are printed."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"


def prepare() -> None:
    """Make stdout and stderr take all that is written: a closed one leads nowhere, what its letters lack is escaped."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (as long as the process)
        else:
            stream.reconfigure(errors="backslashreplace")


def document(data: Any) -> None:
    """One JSON document."""
    sys.stdout.write(_json(plain(data), indent=2) + "\n")


def rows(
    data: Iterable[Record | Mapping[str, Any]],
    columns: Sequence[str] | None = None,
    *,
    format: Format = Format.table,
    empty: str = "nothing",
    whole: bool = False,
) -> None:
    """Rows in `format`; every key goes into JSON and CSV, a table shows `columns`.

    A table leaves out the columns in which nothing stands, unless it is `whole`: nothing there says something.
    """
    records = [plain(row) for row in data]
    if format is Format.json:
        document(records)
    elif format is Format.jsonl:
        for record in records:
            sys.stdout.write(_json(record) + "\n")
    elif format is Format.csv:
        _csv(records)
    elif records:
        chosen = list(columns or records[0])
        _table(records, chosen if whole else _filled(records, chosen))
    else:
        note(empty)


def stream(data: Iterable[Mapping[str, Any]], format: Format) -> None:
    """Rows as they come: CSV, JSON Lines, or plain text with tabs between the cells."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    for number, row in enumerate(data):
        if format is Format.jsonl:
            sys.stdout.write(_json(row) + "\n")
        elif format is Format.csv:
            if not number:
                writer.writerow(row)
            writer.writerow(row.values())
        else:
            sys.stdout.write("\t".join(map(printable, row.values())) + "\n")


def line(text: str = "") -> None:
    """One line of text for people."""
    sys.stdout.write(printable(text) + "\n")


def text(block: str) -> None:
    """Several lines of text for people."""
    for part in block.splitlines():
        line(part)


def verbatim(block: str) -> None:
    """Text for another program, as it is."""
    sys.stdout.write(block)


def heading(title: str) -> None:
    """A title, bold on a terminal that shows it."""
    bold = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    sys.stdout.write(f"\x1b[1m{printable(title)}\x1b[0m\n" if bold else printable(title) + "\n")


def wrapped(paragraph: str) -> None:
    """A paragraph, folded at the terminal's width (a pipe has none); blanks before it stay."""
    import shutil
    import textwrap

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    one_line = printable(" ".join(paragraph.split()))  # no name in it begins a line of its own
    indent = " " * (len(paragraph) - len(paragraph.lstrip(" ")))
    text("\n".join(textwrap.wrap(one_line, max(width, 20), initial_indent=indent, break_on_hyphens=False)))


def has_blocks() -> bool:
    """Whether stdout's encoding has the block letters of bars."""
    return (sys.stdout.encoding or "utf-8").lower().startswith("utf")


def console(json: bool) -> TextIO:
    """Where `stdout:` targets write: stdout, unless it carries a JSON document."""
    return sys.stderr if json else sys.stdout


def pairs(data: Mapping[str, Any]) -> None:
    """Names and values, one a line, aligned."""
    width = max((len(key) for key in data), default=0)
    for key, value in data.items():
        line(f"{key:<{width}}  {cell(value)}")


def note(text: str) -> None:
    """`note: …` on stderr."""
    _stderr(f"note: {text}")


def warn(text: str) -> None:
    """`warning: …` on stderr."""
    _stderr(f"warning: {text}")


def problem(text: str) -> None:
    """`error: …` on stderr, for what failed while the rest went on."""
    _stderr(f"error: {text}")


def complain(error: DetmonError) -> None:
    """`error: …`, then `hint: …`, on stderr; of several mistakes each."""
    for one in error.errors if isinstance(error, Mistakes) else (error,):
        _stderr(f"error: {one.message}")
        if one.hint:
            _stderr(f"hint: {one.hint}")


def cell(value: Any) -> str:
    """A value as a table shows it."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    if isinstance(value, Mapping):
        return " ".join(f"{key}={cell(item)}" for key, item in value.items()) or NOTHING
    if isinstance(value, (list, tuple)):
        return ", ".join(cell(item) for item in value) or NOTHING
    return printable(str(value))


def moment(at: datetime) -> str:
    """An instant for people: `2026-11-14 10:05Z`, with seconds where there are some."""
    return f"{at:%Y-%m-%d %H:%M:%SZ}" if at.second else f"{at:%Y-%m-%d %H:%MZ}"


def printable(text: str) -> str:
    """`text` without control characters: a label must not steer the terminal."""
    return "".join(char if char.isprintable() or char == " " else "\N{REPLACEMENT CHARACTER}" for char in text)


def _stderr(text: str) -> None:
    sys.stderr.write("\n".join(printable(part) for part in text.splitlines()) + "\n")


def _json(data: Any, indent: int | None = None) -> str:
    """JSON in the letters of stdout's encoding: escapes, where it is not a Unicode one."""
    unicode = (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    return json.dumps(data, ensure_ascii=not unicode, indent=indent, allow_nan=False)


def _csv(records: list[dict[str, Any]]) -> None:
    if not records:
        return
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(records[0]), lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow(
            {key: json.dumps(v, ensure_ascii=False) if isinstance(v, (list, dict)) else v for key, v in record.items()}
        )
    sys.stdout.write(buffer.getvalue())


def _table(records: list[dict[str, Any]], columns: list[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console.width = 10_000  # a pipe has no width: never fold or cut there
    columns, left_out = _fitting(records, columns, console.width)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        number = all(isinstance(record.get(column), (int, float, type(None))) for record in records)
        least = min(_longest(records, column), FOLDED)
        table.add_column(column, justify="right" if number else "left", overflow="fold", min_width=least)
    for record in records:
        table.add_row(*(Text(cell(record.get(column))) for column in columns))
    console.print(table)
    if left_out:
        note(f"too narrow for {', '.join(left_out)}: --json shows all")


def _filled(records: list[dict[str, Any]], columns: list[str]) -> list[str]:
    """The columns in which something stands; all, if there is none."""
    return [one for one in columns if any(cell(record.get(one)) != NOTHING for record in records)] or columns


def _longest(records: list[dict[str, Any]], column: str) -> int:
    return max(len(column), *(len(cell(record.get(column))) for record in records))


def _fitting(records: list[dict[str, Any]], columns: list[str], width: int) -> tuple[list[str], list[str]]:
    """The first columns, which fit when the long ones are folded to `FOLDED` letters, and those left out."""
    used = 0
    for number, column in enumerate(columns):
        used += min(_longest(records, column), FOLDED) + 3 * (number > 0)
        if used > width and number > 0:
            return columns[:number], columns[number:]
    return columns, []
