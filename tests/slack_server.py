"""A server on this machine that keeps Slack's rules: the Web API's and the incoming webhooks'."""

from __future__ import annotations

import json
import threading
import time
import urllib.parse
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "xoxb-good-token-0001"
CHANNELS = {"#ml-alerts": "C0ML", "C0ML": "C0ML", "U0ME": "D0ME", "#other": "C0OTHER"}
Answer = tuple[int, dict[str, str], str]


class SlackServer(ThreadingHTTPServer):
    """`posts` are the requests that came, `shown` the messages that people would see."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.posts: list[dict[str, Any]] = []
        self.shown: list[dict[str, Any]] = []
        self.updates: list[dict[str, Any]] = []
        self.answers: deque[Answer] = deque()
        """Answers to give before the rules apply."""
        self.down = False
        self.hold: threading.Event | None = None
        """While set, answers wait for it."""
        self.last_post: dict[str, float] = {}
        self.rate_limit = 1.0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def api(self) -> str:
        return f"{self.url}/api/"

    def webhook(self, name: str = "good") -> str:
        return f"{self.url}/services/T0SECRET/B0SECRET/{name}"

    def answer(self, method: str, token: str | None, payload: dict[str, Any]) -> Answer:
        """The Web API: HTTP 200 also on errors."""
        error = self.refusal(method, token, payload)
        if error == "ratelimited":
            return 429, {"Retry-After": "1"}, json.dumps({"ok": False, "error": error})
        if error:
            return 200, {}, json.dumps({"ok": False, "error": error})
        if method == "auth.test":
            return 200, {}, json.dumps({"ok": True, "user": "detmon"})
        channel = CHANNELS[payload["channel"]]
        if method == "chat.update":
            self.updates.append(payload)
            return 200, {}, json.dumps({"ok": True, "channel": channel, "ts": payload["ts"]})
        stamp = f"1700000000.{len(self.shown):06d}"
        self.shown.append(payload | {"ts": stamp})
        return 200, {}, json.dumps({"ok": True, "channel": channel, "ts": stamp})

    def refusal(self, method: str, token: str | None, payload: dict[str, Any]) -> str | None:
        if token is None:
            return "not_authed"
        if token != TOKEN:
            return "invalid_auth"
        if method == "auth.test":
            return None
        if payload.get("channel") not in CHANNELS:
            return "channel_not_found"
        if method == "chat.update" and payload["channel"] != CHANNELS[payload["channel"]]:
            return "channel_not_found"  # an update wants the channel's id
        wrong = wrong_form(payload)
        if wrong or method == "chat.update":
            return wrong
        return "ratelimited" if self.too_fast(payload["channel"]) else None

    def hook_answer(self, name: str, payload: dict[str, Any]) -> Answer:
        """Incoming webhooks: words instead of JSON."""
        fixed = {
            "gone": (404, "no_service"),
            "archived": (410, "channel_is_archived"),
            "forbidden": (403, "action_prohibited"),
        }
        if name in fixed:
            return fixed[name][0], {}, fixed[name][1]
        wrong = wrong_form(payload)
        if wrong:
            return 400, {}, "no_text" if wrong == "no_text" else "invalid_payload"
        if self.too_fast(name):
            return 429, {"Retry-After": "1"}, "rate_limited"
        self.shown.append(payload)
        return 200, {"Content-Type": "text/html"}, "ok"

    def too_fast(self, channel: str) -> bool:
        here = time.monotonic()
        before = self.last_post.get(channel, -60.0)
        if here - before < self.rate_limit * 0.9:
            return True
        self.last_post[channel] = here
        return False


def wrong_form(payload: dict[str, Any]) -> str | None:
    """Slack's word for a message it does not take, or None."""
    text, blocks = payload.get("text") or "", payload.get("blocks") or []
    if not text and not blocks:
        return "no_text"
    if len(text) > 40_000:
        return "msg_too_long"
    if len(blocks) > 50 or not all(_good_block(block) for block in blocks):
        return "invalid_blocks"
    return "msg_blocks_too_long" if sum(map(_length, blocks)) > 13_000 else None


def _good_block(block: dict[str, Any]) -> bool:
    kind = block.get("type")
    if kind == "header":
        return block["text"]["type"] == "plain_text" and 1 <= len(block["text"]["text"]) <= 150
    if kind == "section":
        fields = block.get("fields", [])
        texts = [block["text"]["text"]] if "text" in block else []
        good_fields = len(fields) <= 10 and all(1 <= len(field["text"]) <= 2_000 for field in fields)
        return bool(texts or fields) and good_fields and all(1 <= len(text) <= 3_000 for text in texts)
    if kind == "context":
        return 1 <= len(block["elements"]) <= 10
    return kind in ("divider",)


def _length(block: dict[str, Any]) -> int:
    parts = [block.get("text", {}), *block.get("fields", []), *block.get("elements", [])]
    return sum(len(part.get("text", "")) for part in parts)


class _Handler(BaseHTTPRequestHandler):
    server: SlackServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        payload = _payload(body, self.headers.get("Content-Type", ""))
        with self.server.lock:
            self.server.posts.append({"path": self.path, "payload": payload, "headers": dict(self.headers)})
        if self.server.hold is not None:
            self.server.hold.wait(30)
        with self.server.lock:
            self._reply(*self._answer(payload))

    def _answer(self, payload: dict[str, Any]) -> Answer:
        if self.server.answers:
            return self.server.answers.popleft()
        if self.server.down:
            return 503, {}, "service_unavailable"
        folder, _, name = self.path.strip("/").rpartition("/")
        if folder == "api":
            scheme, _, token = self.headers.get("Authorization", "").partition(" ")
            return self.server.answer(name, token if scheme == "Bearer" else payload.get("token"), payload)
        return self.server.hook_answer(name, payload)

    def _reply(self, status: int, headers: dict[str, str], body: str) -> None:
        data = body.encode()
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _payload(body: bytes, kind: str) -> dict[str, Any]:
    if kind.startswith("application/json"):
        found: dict[str, Any] = json.loads(body or b"{}")
        return found
    values = {key: texts[0] for key, texts in urllib.parse.parse_qs(body.decode()).items()}
    return {key: json.loads(text) if key == "blocks" else text for key, text in values.items()}


@contextmanager
def running(make: Callable[[], SlackServer] = SlackServer) -> Iterator[SlackServer]:
    """The server, for as long as the block lasts."""
    server = make()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
