"""Web services on this machine that take notices: one that records, one that keeps PagerDuty's rules."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

Answer = tuple[int, dict[str, str], str]


@dataclass
class Request:
    """One POST that came."""

    path: str
    headers: Message
    body: bytes
    status: int = 0
    """What it was answered."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver(ThreadingHTTPServer):
    """Records every request; `answers` are given before its own, which is `success` unless it is `down`."""

    daemon_threads = True
    success: Answer = (200, {}, "")

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[Request] = []
        self.answers: deque[Answer] = deque()
        self.down = False
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, request: Request) -> Answer:
        """What it says of its own accord."""
        return self.success


class PagerDuty(Receiver):
    """Events API v2: refuses what the real one refuses, and keeps the open incidents."""

    success = (202, {}, '{"status": "success", "message": "Event processed"}')
    routing_key = "0123456789abcdef0123456789abcdef"

    def __init__(self) -> None:
        super().__init__()
        self.open: dict[str, dict[str, Any]] = {}
        self.history: list[tuple[str, str]] = []

    def answer(self, request: Request) -> Answer:
        """As its documentation has it: 202, or 400 with the list of what is wrong."""
        event = request.json
        wrong = list(self._wrong(event)) if request.path == "/v2/enqueue" else ["no such path"]
        if wrong or len(request.body) > 512_000:
            return (
                400,
                {},
                json.dumps({"status": "invalid event", "message": "Event object is invalid", "errors": wrong}),
            )
        key, action = event["dedup_key"], event["event_action"]
        self.history.append((action, key))
        if action == "trigger":
            self.open[key] = event
        else:
            self.open.pop(key, None)
        return self.success

    def _wrong(self, event: dict[str, Any]) -> Iterator[str]:
        if event.get("routing_key") != self.routing_key:
            yield "Invalid routing key"
        if event.get("event_action") not in ("trigger", "acknowledge", "resolve"):
            yield "'event_action' is missing or wrong"
        if not 0 < len(event.get("dedup_key", "")) <= 255:
            yield "'dedup_key' is missing or too long"
        if event.get("event_action") == "trigger":
            payload = event.get("payload", {})
            yield from (
                f"'{name}' is missing or blank" for name in ("summary", "source", "severity") if not payload.get(name)
            )
            if payload.get("severity") not in ("critical", "error", "warning", "info"):
                yield "'severity' is wrong"
            if len(payload.get("summary", "")) > 1024:
                yield "'summary' is too long"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        request = Request(self.path, self.headers, self.rfile.read(int(self.headers.get("Content-Length", 0))))
        with self.server.lock:
            self.server.requests.append(request)
            if self.server.answers:
                answer = self.server.answers.popleft()
            else:
                answer = (503, {}, "down") if self.server.down else self.server.answer(request)
        request.status = answer[0]
        self._reply(*answer)

    def do_GET(self) -> None:
        self._reply(*((503, {}, "down") if self.server.down else (200, {}, "{}")))

    def _reply(self, status: int, headers: dict[str, str], body: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


AnyReceiver = TypeVar("AnyReceiver", bound=Receiver)


@contextmanager
def receiving(server: AnyReceiver) -> Iterator[AnyReceiver]:
    """The server, running for as long as the block lasts."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
