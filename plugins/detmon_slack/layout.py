"""A message as Slack takes it: Block Kit within its limits, plain text, or a short form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from detmon.hookspecs import Item, Message

HEADER, SECTION, FIELD = 150, 3_000, 2_000
TOTAL = 9_500
"""All text of a message together; Slack refuses near 13,200 (undocumented)."""
_LIGHTS = {"error": "🟠", "delivery_failing": "🟠", "no_data": "⚪"}
_SIGNS = {"lt": "<", "le": "≤", "gt": ">", "ge": "≥", "eq": "=", "ne": "≠", "anomaly": "|z| ≥"}
_QUIET = {"link_names": False, "parse": "none", "unfurl_links": False, "unfurl_media": False, "mrkdwn": False}


def rich(message: Message) -> dict[str, Any]:
    """Header, the value and its rule, the list, the context."""
    lines = message.text.splitlines()[1:]
    notes = [line for line in lines if line in message.footers]
    news = [line for line in lines if line not in message.footers]
    title = _title(message)
    left = TOTAL - 2 * len(title)
    context = escape("\n".join(notes), 2_000)
    left -= len(context)
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(title)}]
    if len(message.items) == 1 and not message.omitted and message.items[0].metric:
        fields = _fields(message.items[0])
        blocks.append({"type": "section", "fields": [_plain(field) for field in fields]})
        left -= sum(len(field) for field in fields)
    for part in _sections(news, left):
        blocks.append({"type": "section", "text": _plain(part)})
    if context:
        blocks.append({"type": "context", "elements": [_plain(context)]})
    return {"text": title, "blocks": blocks, **_QUIET}


def plain(message: Message) -> dict[str, Any]:
    """Text only."""
    return {"text": f"{_title(message)}\n{escape(message.text, TOTAL - HEADER)}", **_QUIET}


def short(message: Message) -> dict[str, Any]:
    """The title and where to look."""
    count = len(message.items) + message.omitted
    rule = escape(message.labels.get("alertname", ""), 100)
    return {"text": f"{_title(message)}\n{count} items: detmon alert show {rule}", **_QUIET}


def is_over(message: Message) -> bool:
    """Whether all that the message tells has ended."""
    return bool(message.items) and all(item.is_over for item in message.items)


def remembered(message: Message) -> dict[str, str]:
    """What the receipt keeps of a first message: whose episodes it told, so that their end can turn it green."""
    return {} if message.omitted else {"episodes": ",".join(_episodes(message.items))}


def covers(message: Message, parent: Mapping[str, str]) -> bool:
    """Whether this message ends all that its parent told."""
    told = parent.get("episodes")
    return bool(told) and set(str(told).split(",")) <= set(_episodes(message.items))


def escape(text: str, length: int) -> str:
    """Text that Slack shows as it is, at most `length` characters long once escaped."""
    parts = []
    for char in text:
        part = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(char, char)
        length -= len(part)
        if length < 1:
            parts.append("…")
            break
        parts.append(part)
    return "".join(parts)


def _episodes(items: Iterable[Item]) -> list[str]:
    return [(item.episode_id or item.instance_key)[-48:].replace(",", "") for item in items]


def _title(message: Message) -> str:
    light = "🟢" if is_over(message) else _LIGHTS.get(message.kind, "🔴")
    return escape(f"{light} {message.title}", HEADER)


def _fields(item: Item) -> list[str]:
    known = {
        "value": None if item.value is None else f"{item.metric} {item.value:.4g}",
        "threshold": f"{_SIGNS.get(item.operator, item.operator)} {_threshold(item)}",
        "over": item.window,
        "n": None if item.n is None else str(item.n),
        "usually": f"{item.detail['expected']:.4g}" if isinstance(item.detail.get("expected"), float) else None,
    }
    return [escape(f"{name}: {value}", 200) for name, value in known.items() if value is not None]


def _threshold(item: Item) -> str:
    relative = item.detail.get("relative_to")
    return f"{100 * item.threshold:+.3g} % of the {relative}" if relative else f"{item.threshold:.4g}"


def _sections(lines: Iterable[str], left: int) -> list[str]:
    """The lines in parts of at most SECTION characters, together at most `left`."""
    parts: list[str] = []
    for line in lines:
        shown = escape(line, min(SECTION, max(2, left)))
        left -= len(shown) + 1
        if left < 0:
            break
        if parts and len(parts[-1]) + 1 + len(shown) <= SECTION:
            parts[-1] += f"\n{shown}"
        elif shown:
            parts.append(shown)
    return parts


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}
