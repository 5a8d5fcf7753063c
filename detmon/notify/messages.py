"""From a notice to what people read: what, where, how bad, since when, compared with what, what next."""

from __future__ import annotations

import html
import shlex
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo

from detmon.hookspecs import Item, Message
from detmon.notices import Notice
from detmon.records import comparison
from detmon.times import aware_utc

LISTED = 10
"""Items that a message lists; the others are counted."""
LABEL_LENGTH = 80
EXAMPLE_LENGTH = 200
LATE_DELIVERY = timedelta(minutes=10)
"""A notice that waited longer says so."""
WORDS = {
    "firing": "FIRING",
    "flapping": "FLAPPING",
    "error": "ERROR",
    "no_data": "NO DATA",
    "reminder": "STILL FIRING",
    "missed": "MISSED",
    "resolved": "RESOLVED",
    "closed": "CLOSED",
    "error_resolved": "ERROR OVER",
    "no_data_resolved": "DATA BACK",
    "stable": "STABLE",
    "refresh": "ONGOING",
    "digest": "DIGEST",
    "delivery_failing": "DELIVERY FAILING",
}
SIGNS = {"lt": "<", "le": "≤", "gt": ">", "ge": "≥", "eq": "=", "ne": "≠", "anomaly": "|z| ≥"}
_UNSEEN = ("Cc", "Cf")
"""Categories of characters that no reader sees: controls, directions, zero widths."""


@dataclass(frozen=True)
class Circumstances:
    """What a message says beside the news: the zone of its times, this host, and what went before."""

    zone: tzinfo = UTC
    host: str = ""
    queued_at: datetime | None = None
    now: datetime | None = None
    maybe_repeat: bool = False
    footers: tuple[str, ...] = ()
    max_chars: int = 10_000
    test: bool = False


def compose(notice: Notice, about: Circumstances) -> Message:
    """The message of a notice; as many items as `max_chars` allows, at most LISTED."""
    items = tuple(_cleaned(item) for item in notice.items)
    listed = min(LISTED, len(items))
    while True:
        message = _message(notice, items[:listed], items, about)
        if listed <= 1 or len(message.text) <= about.max_chars:
            return replace(message, text=_cut(message.text, about.max_chars))
        listed -= 1


def clean(text: str, length: int | None = None) -> str:
    """`text` on one line without characters that nobody sees, cut to `length`."""
    spaced = " ".join(text.split())
    visible = "".join(char for char in spaced if unicodedata.category(char) not in _UNSEEN)
    return visible if length is None or len(visible) <= length else visible[: length - 1] + "…"


def number(value: float | None) -> str:
    """A value as a message shows it."""
    return "–" if value is None else f"{value:.4g}"


def counted(count: int, noun: str) -> str:
    """`1 notice`, `3 notices`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def moment(instant: datetime, zone: tzinfo) -> str:
    """`2026-11-20 10:05 UTC`, or with the offset of another zone."""
    local = aware_utc(instant).astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M} {_offset(local)}"


def _message(notice: Notice, listed: Sequence[Item], items: Sequence[Item], about: Circumstances) -> Message:
    title = ("TEST · " if about.test else "") + f"{WORDS[notice.kind]} · {_subject(items)}"
    notes = _notes(notice, about)
    lines = [*_body(notice, listed, items, about), *notes]
    rows = _table(listed, about.zone)
    page = _html(notice, title, lines, rows)
    over = all(item.is_over for item in items)
    begins = [item.fired_at for item in items if item.fired_at]
    ends = [item.ended_at for item in items if item.ended_at]
    return Message(
        kind=notice.kind,
        severity=notice.severity,
        title=title,
        text="\n".join(lines),
        html=page,
        items=tuple(listed),
        omitted=len(items) - len(listed),
        started_at=aware_utc(min(begins, default=notice.slot)),
        ended_at=aware_utc(max(ends)) if over and ends else None,
        late_by=notice.late_by,
        maybe_repeat=about.maybe_repeat,
        footers=tuple(notes),
        links=_links(items),
        labels=_labels(notice, items),
    )


def _cleaned(item: Item) -> Item:
    """The item for people: no control characters, short labels, aware times."""
    return replace(
        item,
        alert=clean(item.alert, 120),
        model_id=clean(item.model_id, 120),
        labels={clean(key, LABEL_LENGTH): clean(str(value), LABEL_LENGTH) for key, value in item.labels.items()},
        reason=None if item.reason is None else clean(item.reason, 256),
        detail={key: clean(value, 1000) if isinstance(value, str) else value for key, value in item.detail.items()},
        fired_at=item.fired_at and aware_utc(item.fired_at),
        ended_at=item.ended_at and aware_utc(item.ended_at),
    )


def _subject(items: Sequence[Item]) -> str:
    """`Low Confidence Alert · yolo-prod`; several rules or models are counted."""
    alerts = _distinct(item.alert for item in items)
    models = _distinct(item.model_id for item in items if item.model_id)
    name = alerts[0] if len(alerts) == 1 else f"{len(alerts)} alerts"
    if not models:
        return name
    return f"{name} · {models[0] if len(models) == 1 else f'{len(models)} models'}"


def _body(notice: Notice, listed: Sequence[Item], items: Sequence[Item], about: Circumstances) -> list[str]:
    word = ("TEST  " if about.test else "") + WORDS[notice.kind]
    lines = [f"{word}  {_subject(items):<60}  {notice.severity}".rstrip()]
    rules = _by_rule(listed)
    for rule in rules:
        if len(rules) > 1:
            lines.append(f"{_subject(rule)}")
        lines += _rule_lines(rule, about.zone, alone=len(items) == 1)
    if len(items) > len(listed):
        lines.append(f"  and {len(items) - len(listed)} more")
    lines += _distinct(str(item.detail["description"]) for item in listed if item.detail.get("description"))
    lines += [f"runbook {link}" for link in _links(items).values()]
    lines.append(_origin(notice, items, about))
    return lines


def _rule_lines(items: Sequence[Item], zone: tzinfo, *, alone: bool) -> list[str]:
    first = items[0]
    if not first.metric:
        return [f"  {_story(item, zone)}" for item in items]
    rule = f"threshold {SIGNS.get(first.operator, first.operator)} {_threshold(first)}, over {first.window}"
    if alone and not first.labels:
        value = "" if first.value is None else f" {number(first.value)}"
        n = "" if first.n is None else f", n {first.n}"
        return [f"{first.metric}{value}, {rule}{n}      {_story(first, zone)}", *_more(first)]
    mixed = len({item.kind for item in items}) > 1
    width = max(len(_place(item)) for item in items)
    lines = [f"{first.metric}, {rule}"]
    for item in items:
        parts = [WORDS[item.kind] if mixed else "", f"{_place(item):<{width}}"]
        parts += [number(item.value) if item.value is not None else "", f"n {item.n}" if item.n is not None else ""]
        lines.append("  " + "   ".join(part for part in (*parts, _story(item, zone)) if part.strip()))
        lines += [f"    {line}" for line in _more(item)]
    return lines + _distinct(f"  {item.detail['hint']}" for item in items if item.detail.get("hint"))


def _more(item: Item) -> list[str]:
    """What the value is compared with, and a few images where they are asked for."""
    usual, examples = comparison(item.detail), item.detail.get("examples")
    lines = [usual] if usual else []
    if isinstance(examples, list) and examples:
        lines.append("for example " + ", ".join(clean(str(image), EXAMPLE_LENGTH) for image in examples))
    return lines


def _threshold(item: Item) -> str:
    relative = item.detail.get("relative_to")
    return f"{100 * item.threshold:+.3g} % of the {relative}" if relative else number(item.threshold)


def _place(item: Item) -> str:
    return " ".join(f"{key}={value}" for key, value in item.labels.items()) or item.model_id


def _story(item: Item, zone: tzinfo) -> str:
    """When it began and ended, and why."""
    because = f" ({item.reason})" if item.reason else ""
    since = f"since {moment(item.fired_at, zone)}" if item.fired_at else ""
    if item.kind == "reminder":
        count = item.detail.get("count")
        nth = f", {_ordinal(count)} reminder" if isinstance(count, int) else ""
        return f"still firing {since}{nth}{because}".rstrip()
    if item.kind in ("missed", "resolved", "closed"):
        ended = {"missed": "resolved"}.get(item.kind, item.kind)
        peak = item.detail.get("peak")
        worst = f", at worst {number(peak)}" if isinstance(peak, (int, float)) and item.metric else ""
        return _stretch("fired", ended, item, zone) + worst + because
    if item.kind in ("no_data_resolved", "error_resolved"):
        began = "no data" if item.kind == "no_data_resolved" else "failing"
        return _stretch(began, "over", item, zone) + because
    if item.kind in ("no_data", "error"):
        return f"{'no data' if item.kind == 'no_data' else 'error'}{because} {since}".rstrip()
    if item.kind == "stable":
        return f"flapped {since}{because}" if item.reason == "ok" else (since + because).strip()
    if item.kind == "delivery_failing":
        return item.reason or ""
    return (since + because).strip()


def _stretch(began: str, ended: str, item: Item, zone: tzinfo) -> str:
    """`fired 10:05, resolved 10:35 UTC (2026-11-20)`."""
    if item.fired_at is None or item.ended_at is None:
        known = item.ended_at or item.fired_at
        return f"{ended if item.ended_at or not known else began} {moment(known, zone) if known else ''}".rstrip()
    start, end = aware_utc(item.fired_at).astimezone(zone), aware_utc(item.ended_at).astimezone(zone)
    if (start.date(), start.utcoffset()) == (end.date(), end.utcoffset()):
        return f"{began} {start:%H:%M}, {ended} {end:%H:%M} {_offset(end)} ({end:%Y-%m-%d})"
    return f"{began} {moment(start, zone)}, {ended} {moment(end, zone)}"


def _origin(notice: Notice, items: Sequence[Item], about: Circumstances) -> str:
    names = _distinct(item.alert for item in items if item.alert_id)
    parts = [f"rule {notice.alert_id}" if notice.alert_id else "", f"slot {moment(notice.slot, about.zone)}"]
    parts += [f"host {about.host}" if about.host else ""]
    parts += [f"detmon alert show {shlex.quote(names[0])}" if len(names) == 1 and notice.alert_id else ""]
    return " · ".join(part for part in parts if part)


def _notes(notice: Notice, about: Circumstances) -> list[str]:
    """What is true of the telling rather than of the news."""
    lines = []
    if about.test:
        when = f" at {moment(about.now, about.zone)}" if about.now else ""
        lines.append(f"a test from {about.host or 'detmon'}{when}: nothing is wrong")
    if notice.late_by:
        lines.append(f"late by {_span(notice.late_by)} (the check did not run)")
    if about.now and about.queued_at and about.now - about.queued_at > LATE_DELIVERY:
        lines.append(f"delivered late: it waited {_span(about.now - about.queued_at)}")
    if about.maybe_repeat:
        lines.append("may be a repeat: the previous attempt ended without an answer")
    return [*lines, *about.footers]


def _table(items: Sequence[Item], zone: tzinfo) -> list[tuple[str, str, str, str]]:
    return [
        (
            f"{item.alert} {_place(item)}".strip(),
            number(item.value) if item.metric else "",
            "" if item.n is None else str(item.n),
            f"{WORDS[item.kind].lower()} {_story(item, zone)}".strip(),
        )
        for item in items
    ]


def _html(notice: Notice, title: str, lines: Sequence[str], rows: Sequence[tuple[str, ...]]) -> str:
    """The message as a page for mail clients: inline styles, nothing to fetch."""
    colour = {"critical": "#b00020", "error": "#b00020", "warning": "#b35900"}.get(notice.severity, "#1f4e79")
    cell = 'style="padding:2px 12px 2px 0;text-align:left;vertical-align:top"'
    head = "".join(f"<th {cell}>{name}</th>" for name in ("where", "value", "n", "what"))
    body = "".join(f"<tr>{''.join(f'<td {cell}>{html.escape(text)}</td>' for text in row)}</tr>" for row in rows)
    rest = "".join(f"<div>{html.escape(line)}</div>" for line in lines[1:])
    return (
        f'<html><body style="font:14px sans-serif"><h2 style="font-size:16px;color:{colour}">{html.escape(title)}</h2>'
        f'<table style="border-collapse:collapse"><tr>{head}</tr>{body}</table>'
        f'<div style="margin-top:12px;color:#555;font:12px monospace;white-space:pre-wrap">{rest}</div></body></html>'
    )


def _links(items: Iterable[Item]) -> dict[str, str]:
    runbooks = _distinct(str(item.detail["runbook"]) for item in items if item.detail.get("runbook"))
    safe = [link for link in runbooks if link.startswith(("https://", "http://"))]
    return {"runbook": safe[0]} if len(safe) == 1 else {}


def _labels(notice: Notice, items: Sequence[Item]) -> dict[str, str]:
    """What all items have in common, for subjects and threads."""
    alerts, models = _distinct(i.alert for i in items), _distinct(i.model_id for i in items if i.model_id)
    labels = {"alertname": alerts[0] if len(alerts) == 1 else f"{len(alerts)} alerts", "severity": notice.severity}
    if models:
        labels["model_id"] = models[0] if len(models) == 1 else f"{len(models)} models"
    common = dict(items[0].labels) if items else {}
    for item in items[1:]:
        common = {key: value for key, value in common.items() if item.labels.get(key) == value}
    return {**common, **labels}


def _by_rule(items: Sequence[Item]) -> list[list[Item]]:
    rules: dict[tuple[str, str, str], list[Item]] = {}
    for item in items:
        rules.setdefault((item.alert_id, item.alert, item.model_id), []).append(item)
    return list(rules.values())


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _offset(local: datetime) -> str:
    return local.isoformat()[-6:] if local.utcoffset() else "UTC"


def _span(length: timedelta) -> str:
    minutes = round(length.total_seconds() / 60)
    if minutes < 1:
        return f"{length.total_seconds():.0f} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _ordinal(count: int) -> str:
    ending = "th" if 10 <= count % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
    return f"{count}{ending}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
