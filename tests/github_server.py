"""A server on this machine that keeps the rules of GitHub's REST API for workflows, as far as a trainer meets them."""

from __future__ import annotations

import io
import json
import re
import threading
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "ghp_good-token-0001"
REPOSITORY, WORKFLOW = "acme/detector", "train.yml"
INPUTS = {"job": True, "dataset": True, "version": False, "digest": False, "base_model": False}
"""Those that the workflow declares, and whether it requires them."""
REFS = ("main", "v2")
Answer = tuple[int, dict[str, str], Any]
NOW = "2026-11-20T10:00:00Z"


class GitHubServer(ThreadingHTTPServer):
    """`runs` by id; `titles`: the workflow's `run-name` holds the input `job`; `old`: no `return_run_details`."""

    daemon_threads = True

    def __init__(self, *, old: bool = False, titles: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.old, self.titles = old, titles
        self.runs: dict[int, dict[str, Any]] = {}
        self.inputs: dict[int, dict[str, str]] = {}
        self.refs: dict[int, str] = {}
        self.logs: dict[int, dict[str, str]] = {}
        self.artifacts: dict[int, dict[str, str]] = {}
        self.asked: list[tuple[str, str]] = []
        self.answers: deque[Answer] = deque()
        """Answers to give before the rules apply."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def finish(self, run: int, conclusion: str = "success", log: str = "trained\n", **files: str) -> None:
        """End a run; `files` are those of its artifact `model`, by name without suffix."""
        self.runs[run] |= {"status": "completed", "conclusion": conclusion, "updated_at": "2026-11-20T10:05:00Z"}
        self.logs[run] = {"0_train.txt": log, "train/1_Set up job.txt": "a part of it"}
        if files:
            self.artifacts[run] = {f"{name}.json": text for name, text in files.items()}

    def answer(self, method: str, path: str, asked: dict[str, str], body: dict[str, Any]) -> Answer:
        repository = f"/repos/{REPOSITORY}/actions"
        if not path.startswith(f"{repository}/"):
            return _error(404, "Not Found")
        for pattern, answer in ROUTES.items():
            verb, _, route = pattern.partition(" ")
            if verb == method and (match := re.fullmatch(route, path.removeprefix(repository))):
                return answer(
                    self, *map(int, match.groups()), **({"asked": asked} if verb == "GET" else {"body": body})
                )
        return _error(404, "Not Found")

    def dispatch(self, body: dict[str, Any]) -> Answer:
        unknown = set(body) - {"ref", "inputs", "return_run_details"}
        if self.old and "return_run_details" in body:
            unknown = {"return_run_details"}
        if unknown:
            return _error(422, f'Invalid request.\n\n"{min(unknown)}" is not a permitted key.')
        if body.get("ref") not in REFS:
            return _error(422, f"No ref found for: {body.get('ref')}")
        inputs = body.get("inputs", {})
        if unexpected := set(inputs) - set(INPUTS):
            return _error(422, f"Unexpected inputs provided: {json.dumps(sorted(unexpected))}")
        if missing := [name for name, required in INPUTS.items() if required and not inputs.get(name)]:
            return _error(422, f"Required input '{missing[0]}' not provided")
        id = 1000 + len(self.runs)
        title = f"train {inputs['job']}" if self.titles else "train"
        address = f"https://github.com/{REPOSITORY}/actions/runs/{id}"
        self.runs[id] = {
            "id": id, "display_title": title, "status": "queued", "conclusion": None, "event": "workflow_dispatch",
            "html_url": address, "created_at": NOW, "updated_at": NOW,
        }  # fmt: skip
        self.inputs[id], self.refs[id] = inputs, body["ref"]
        if not body.get("return_run_details"):
            return 204, {}, None
        return 200, {}, {"workflow_run_id": id, "run_url": f"{self.url}/runs/{id}", "html_url": address}

    def list_runs(self, asked: dict[str, str]) -> Answer:
        assert asked["event"] == "workflow_dispatch"
        since = asked.get("created", ">=")
        assert since.startswith(">=")
        newest = sorted(self.runs.values(), key=lambda run: -run["id"])[: int(asked.get("per_page", 30))]
        return 200, {}, {"total_count": len(self.runs), "workflow_runs": newest}

    def show_run(self, run: int, asked: dict[str, str]) -> Answer:
        return (200, {}, self.runs[run]) if run in self.runs else _error(404, "Not Found")

    def cancel_run(self, run: int, body: dict[str, Any]) -> Answer:
        if self.runs[run]["status"] == "completed":
            return _error(409, "Cannot cancel a workflow run that is completed.")
        self.finish(run, "cancelled")
        return 202, {}, {}

    def show_logs(self, run: int, asked: dict[str, str]) -> Answer:
        if run not in self.logs:
            return _error(404, "Not Found")
        return 302, {"Location": f"{self.url}/storage/logs/{run}"}, None

    def list_artifacts(self, run: int, asked: dict[str, str]) -> Answer:
        there = [{"id": run, "name": "model", "expired": False, "size_in_bytes": 300}] if run in self.artifacts else []
        return 200, {}, {"total_count": len(there), "artifacts": there if asked.get("name") == "model" else []}

    def fetch_artifact(self, artifact: int, asked: dict[str, str]) -> Answer:
        return 302, {"Location": f"{self.url}/storage/artifacts/{artifact}"}, None


ROUTES: dict[str, Callable[..., Answer]] = {
    rf"POST /workflows/{WORKFLOW}/dispatches": GitHubServer.dispatch,
    rf"GET /workflows/{WORKFLOW}/runs": GitHubServer.list_runs,
    r"GET /runs/(\d+)": GitHubServer.show_run,
    r"POST /runs/(\d+)/cancel": GitHubServer.cancel_run,
    r"GET /runs/(\d+)/logs": GitHubServer.show_logs,
    r"GET /runs/(\d+)/artifacts": GitHubServer.list_artifacts,
    r"GET /artifacts/(\d+)/zip": GitHubServer.fetch_artifact,
}


def _error(status: int, message: str) -> Answer:
    return status, {}, {"message": message, "documentation_url": "https://docs.github.com/rest"}


class _Handler(BaseHTTPRequestHandler):
    server: GitHubServer

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        if place.path.startswith("/storage/"):
            self._storage(*place.path.split("/")[2:])
            return
        asked = {key: values[0] for key, values in parse_qs(place.query).items()}
        self._answer("GET", place.path, asked, {})

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer("POST", self.path, {}, json.loads(content or b"{}"))

    def _answer(self, method: str, path: str, asked: dict[str, str], body: dict[str, Any]) -> None:
        self.server.asked.append((method, path))
        assert self.headers["Accept"] == "application/vnd.github+json"
        if self.server.answers:
            answer = self.server.answers.popleft()
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            answer = _error(401, "Bad credentials")
        else:
            answer = self.server.answer(method, path, asked, body)
        status, headers, content = answer
        self._send(status, headers, b"" if content is None else json.dumps(content).encode())

    def _storage(self, kind: str, run: str) -> None:
        if "Authorization" in self.headers:  # signed addresses refuse a second authorisation
            self._send(400, {}, b"")
            return
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, text in getattr(self.server, kind)[int(run)].items():
                archive.writestr(name, text)
        self._send(200, {}, buffer.getvalue())

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(**rules: bool) -> Iterator[GitHubServer]:
    """A server in a thread of its own."""
    with GitHubServer(**rules) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
