"""MLflow's answers, replayed on this machine; with `MLFLOW_TRACKING_URI` the server there is asked instead.

`DETMON_TEST_RECORD=1` with that variable writes the answers down anew.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent / "recorded" / "mlflow.json"


class MlflowServer(ThreadingHTTPServer):
    """`asked`: method and path of each call; `headers`: those of the last; `status`: what it answers whatever comes."""

    daemon_threads = True

    def __init__(self, scenario: str, live: str | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.live = live
        self.answers: dict[str, list[Any]] = {} if live else json.loads(RECORDED.read_text())[scenario]
        self.asked: list[str] = []
        self.headers: dict[str, str] = {}
        self.status: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def call(self, method: str, path: str, **body: Any) -> Any:
        """One call of the API, of a test that prepares the registry."""
        import requests

        return requests.request(method, f"{self.url}/api/2.0/mlflow/{path}", json=body or None, timeout=60).json()

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if self.status is not None:
            return self.status, b"<html>no</html>"
        key = f"{method} {path} {body.decode()}".strip()
        if self.live is None:
            recorded = self.answers[key]
            status, content = recorded.pop(0) if len(recorded) > 1 else recorded[0]
            return status, json.dumps(content).encode()
        import requests

        said = requests.request(
            method, self.live + path, data=body, headers={"Content-Type": "application/json"}, timeout=60
        )
        self.answers.setdefault(key, []).append([said.status_code, said.json()])
        return said.status_code, said.content


class _Handler(BaseHTTPRequestHandler):
    server: MlflowServer

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append(f"{self.command} {self.path}")
        self.server.headers = dict(self.headers)
        status, content = self.server.answer(self.command, self.path, body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = _do

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(scenario: str, live: str | None, *, record: bool) -> Iterator[MlflowServer]:
    server = MlflowServer(scenario, live)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
        if record:
            known = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
            RECORDED.write_text(json.dumps({**known, scenario: server.answers}, indent=1, sort_keys=True) + "\n")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
