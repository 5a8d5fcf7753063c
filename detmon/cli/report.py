"""A report for people: the same parts on a terminal, in Markdown and as an HTML page.

A verb whose answer is more than rows makes a `Report` of its result; JSON is never made from it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from detmon.cli import output
from detmon.records import Record

BAR = 24
"""Letters of the longest bar."""
_EIGHTHS = " ▏▎▍▌▋▊▉█"


class ReportFormat(StrEnum):
    """How a report is printed."""

    text = "text"
    json = "json"
    markdown = "markdown"
    html = "html"


@dataclass(frozen=True)
class Table:
    """Rows under column names; `columns` picks and orders their keys."""

    rows: Sequence[Mapping[str, Any]]
    columns: Sequence[str] = ()

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """The header and the rows as text."""
        columns = list(self.columns or self.rows[0])
        return columns, [[output.cell(row.get(column)) for column in columns] for row in self.rows]


@dataclass(frozen=True)
class Bars:
    """Shares side by side: `rows` are (name, one share for each of `series`)."""

    series: Sequence[str]
    rows: Sequence[tuple[str, Sequence[float]]]


Part: TypeAlias = str | Table | Bars
"""A paragraph, a table or bars."""


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Report:
    """`title` names it, `summary` is its verdict in a sentence or two."""

    title: str
    summary: str
    sections: Sequence[Section] = field(default=())


def show(report: Report, data: Record, format: ReportFormat) -> None:
    """Print `report`, or `data` when the format is JSON."""
    if format is ReportFormat.json:
        output.document(data)
    elif format is ReportFormat.markdown:
        output.text(markdown(report))
    elif format is ReportFormat.html:
        output.text(page(report))
    else:
        _terminal(report)


def markdown(report: Report) -> str:
    """GitHub-flavoured Markdown."""
    lines = [f"## {_md(report.title)}", "", _md(report.summary), ""]
    for section in report.sections:
        lines += [f"### {_md(section.title)}", ""]
        for part in section.parts:
            lines += [*_markdown_part(part), ""]
    return "\n".join(lines).rstrip() + "\n"


def page(report: Report) -> str:
    """One HTML page without scripts or outside references; every text is escaped."""
    body = [f"<h1>{_h(report.title)}</h1>", f"<p class=summary>{_h(report.summary)}</p>"]
    for section in report.sections:
        body.append(f"<h2>{_h(section.title)}</h2>")
        body += [_html_part(part) for part in section.parts]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{_h(report.title)}</title>'
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head>\n<body>\n' + (
        "\n".join(body) + "\n</body></html>\n"
    )


# --- terminal ------------------------------------------------------------------------------------------------------


def _terminal(report: Report) -> None:
    output.heading(report.title)
    output.wrapped(report.summary)
    for section in report.sections:
        output.line()
        output.heading(section.title)
        for part in section.parts:
            if isinstance(part, Table):
                output.rows(part.rows, part.columns or None, whole=True)  # what is not known is shown as that
            elif isinstance(part, Bars):
                for line in _bar_lines(part):
                    output.line(line)
            else:
                output.wrapped(part)


def _bar_lines(bars: Bars) -> list[str]:
    """Each row's bars in columns; the longest bar of all is `BAR` letters."""
    most = max((share for _, shares in bars.rows for share in shares), default=0.0) or 1.0
    name = max((len(label) for label, _ in bars.rows), default=0)
    cell = BAR + 8
    lines = [" " * name + "  " + "".join(f"{series:<{cell}}" for series in bars.series).rstrip()]
    for label, shares in bars.rows:
        drawn = "".join(f"{f'{_bar(share / most)} {share:.1%}':<{cell}}" for share in shares)
        lines.append(f"{label:<{name}}  {drawn.rstrip()}")
    return lines


def _bar(part: float) -> str:
    """A bar of `part` of the full length, to an eighth of a letter; ASCII where the terminal lacks the blocks."""
    eighths = round(part * BAR * 8)
    if not output.has_blocks():
        return "#" * max(round(eighths / 8), int(part > 0))
    full, rest = divmod(max(eighths, int(part > 0)), 8)
    return _EIGHTHS[8] * full + (_EIGHTHS[rest] if rest else "")


# --- Markdown and HTML ---------------------------------------------------------------------------------------------


def _markdown_part(part: Part) -> list[str]:
    if isinstance(part, str):
        return [_md(part)]
    columns, rows = _cells(part)
    return ["| " + " | ".join(_md(cell) for cell in row) + " |" for row in (columns, ["---"] * len(columns), *rows)]


def _html_part(part: Part) -> str:
    if isinstance(part, str):
        return f"<p>{_h(part)}</p>"
    columns, rows = _cells(part)
    head = "".join(f"<th scope=col>{_h(name)}</th>" for name in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{_h(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"


def _cells(part: Table | Bars) -> tuple[list[str], list[list[str]]]:
    if isinstance(part, Table):
        return part.cells()
    return ["", *part.series], [[label, *(f"{share:.1%}" for share in shares)] for label, shares in part.rows]


def _md(text: str) -> str:
    """Text that Markdown shows as it is: no label may draw a link, an image, a tag or a mention."""
    if set(text) == {"-"}:
        return text
    escaped = re.sub(r"([\\`*_{}\[\]|~])", r"\\\1", output.printable(text))
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"(^#|[@#](?=\w))", lambda found: "&#" + str(ord(found[0])) + ";", escaped)


def _h(text: str) -> str:
    return html.escape(output.printable(text))


_STYLE = (
    ":root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;"
    "padding:0 1rem}"
    "h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}.summary{font-weight:600}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{text-align:left;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #8884}"
)
