"""A server of files on a free port of this machine, that can be told to fail."""

from __future__ import annotations

import gzip
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from logs import FIRST, lines

LOG = lines(*({**FIRST, "image_id": f"{k:06d}.jpg"} for k in range(2000)))
ZIPPED = gzip.compress(LOG)


class Files:
    """`content` by path; `faults` are served first, one a GET: a status, `(status, headers)`, or bytes after which the
    connection is cut. `asked` has what was asked for: method, path, headers."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.faults: deque[Any] = deque()
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.ranges = self.etags = self.lengths = True
        self.pauses = False
        self.url = ""

    def found(self, path: str) -> bytes | None:
        """What is at a path (with its query)."""
        return self.content.get(path.partition("?")[0])

    def may_fail(self, path: str) -> bool:
        """Whether a request is one that the faults are for."""
        return True

    def gets(self) -> list[dict[str, str]]:
        """The headers of each GET."""
        return [headers for method, _, headers in self.asked if method == "GET"]


@contextmanager
def serving(context: ssl.SSLContext | None = None, files: Files | None = None) -> Iterator[Files]:
    """A running server."""
    files = files or Files()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def answer(self) -> None:
            files.asked.append((self.command, self.path, {name.title(): value for name, value in self.headers.items()}))
            fails = files.faults and self.command == "GET" and files.may_fail(self.path)
            fault = files.faults.popleft() if fails else None
            content = files.found(self.path)
            if isinstance(fault, int):
                return self.status(fault)
            if isinstance(fault, tuple):
                return self.status(*fault)
            if content is None:
                return self.status(404)
            etag = f'"{hash(content)}"'
            if self.headers.get("If-None-Match") == etag:
                return self.status(304)
            begin, end = 0, len(content)
            wanted = self.headers.get("Range", "").removeprefix("bytes=")
            partial = bool(wanted) and files.ranges and self.headers.get("If-Range", etag) == etag
            if partial:
                first, _, last = wanted.partition("-")
                begin, end = int(first), min(int(last) + 1, len(content)) if last else len(content)
            self.send_response(206 if partial else 200)
            if partial:
                self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(content)}")
            if files.etags:
                self.send_header("ETag", etag)
            if files.ranges:
                self.send_header("Accept-Ranges", "bytes")
            if files.lengths:
                self.send_header("Content-Length", str(end - begin))
            self.send_header("Last-Modified", formatdate(1_760_000_000, usegmt=True))
            if not files.lengths:
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            if self.command == "HEAD":
                return
            if isinstance(fault, bytes):
                self.wfile.write(content[begin : begin + len(fault)])
                self.close_connection = True
                return
            if files.pauses:  # half of it, and the rest when the pause is over
                self.wfile.write(content[begin : end // 2])
                while files.pauses:
                    time.sleep(0.05)
                return
            self.wfile.write(content[begin:end])

        def status(self, status: int, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": "0", **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A client that hangs up is no fault."""

    server = Server(("127.0.0.1", 0), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    files.url = f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield files
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
