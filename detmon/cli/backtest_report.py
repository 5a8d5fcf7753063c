"""The report of a backtest for people: how often, when, and when nothing could be said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from detmon.cli import output
from detmon.cli.report import Report, Section, Table
from detmon.times import format_duration

if TYPE_CHECKING:
    from detmon.alerts.backtest import Backtest, Stretch

SHOWN = 20
"""So many episodes are listed, the newest; JSON has all."""


def backtest_report(found: Backtest) -> Report:
    """The report of a backtest."""
    said = f"{found.metric} {found.operator} {output.cell(found.threshold)} over {found.window}"
    sections = [Section(title, parts) for title, parts in _sections(found) if parts]
    return Report(f"{found.alert} · {found.model_id}", f"{said}: {found.summary}.{_advice(found)}", sections)


def _advice(found: Backtest) -> str:
    return f" {found.advice[0].upper()}{found.advice[1:]}." if found.advice else ""


def _sections(found: Backtest) -> Iterator[tuple[str, Sequence[Table | str]]]:
    newest = found.episodes[-SHOWN:]
    more = (
        [f"The last {SHOWN} of {len(found.episodes)}; --json lists all."] if len(newest) < len(found.episodes) else []
    )
    yield "Episodes", [*more, Table([_episode(row) for row in newest])] if newest else []
    yield "Without a verdict", [Table(list(_reasons(found)))] if found.no_data or found.errors else []


def _episode(row: Any) -> Mapping[str, Any]:
    return {
        "start": output.moment(row.start),
        "end": output.moment(row.end) if row.end else "open",
        "length": format_duration(row.end - row.start) if row.end else None,
        "labels": row.labels,
        "peak": row.peak,
    }


def _reasons(found: Backtest) -> Iterator[Mapping[str, Any]]:
    """Stretches of one reason and label set as one row."""
    groups: dict[tuple[str, str], list[Stretch]] = defaultdict(list)
    for stretch in (*found.no_data, *found.errors):
        groups[output.cell(stretch.labels), stretch.reason].append(stretch)
    for (labels, reason), stretches in sorted(groups.items()):
        lengths = map(found.lasted, stretches)
        yield {
            "labels": labels,
            "reason": reason,
            "stretches": len(stretches),
            "in all": format_duration(sum(lengths, timedelta())),
            "since": output.moment(stretches[-1].start) if stretches[-1].end is None else None,
        }
