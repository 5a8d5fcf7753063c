"""A server on this machine that answers as Label Studio 1.23 did, from recorded answers, and keeps its rules."""

from __future__ import annotations

import copy
import json
import re
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

RECORDED = json.loads((Path(__file__).parent / "golden" / "label_studio.json").read_text("utf-8"))
LEGACY = "0123456789abcdef0123456789abcdef01234567"
PERSONAL = "header.personal-access-token.signature"
Answer = tuple[int, Any]


def recorded(name: str) -> Answer:
    """An answer as it was."""
    return RECORDED[name]["status"], copy.deepcopy(RECORDED[name]["body"])


class LabelStudio(ThreadingHTTPServer):
    """`asked` are the requests that came; `answers` are given before the rules apply."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.projects: dict[int, dict[str, Any]] = {}
        self.tasks: dict[int, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.answers: deque[Answer] = deque()
        self.lives = 1000
        """So many requests an access token is good for."""
        self.access: dict[str, int] = {}
        self.hold: threading.Event | None = None
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, method: str, path: str, token: str | None, said: Any) -> Answer:
        """What the server does and answers."""
        parts = urlsplit(path)
        asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.asked.append(f"{method} {parts.path}")
        if self.answers:
            return self.answers.popleft()
        if parts.path == "/api/token/refresh/":
            return self.refresh(said)
        if token is None or not self.known(token):
            return recorded("no_token" if token is None or token.startswith("Bearer") else "bad_token")
        if parts.path == "/api/projects/":
            return self.create(said) if method == "POST" else self.listed()
        if parts.path == "/api/tasks":
            return self.page_of_tasks(int(asked["project"]), int(asked["page"]), int(asked["page_size"]))
        found = re.fullmatch(r"/api/(projects|tasks|annotations)/(\d+)/(\w*)/?", parts.path)
        assert found, path
        kind, number, verb = found[1], int(found[2]), found[3]
        if kind == "projects" and number not in self.projects:
            return recorded("missing")
        if (kind, verb) == ("projects", "import"):
            return self.load(number, said)
        if (kind, verb) == ("projects", "export"):
            return self.export(number)
        if kind == "projects":
            return 200, self.projects[number]
        if (kind, verb) == ("tasks", "annotations"):
            return self.annotate(number, said)
        assert (kind, method) == ("tasks", "DELETE"), path
        del self.tasks[number]
        return 204, None

    def known(self, token: str) -> bool:
        """Whether a token is good, and not too old."""
        kind, _, value = token.partition(" ")
        if kind == "Bearer":
            self.access[value] = self.access.get(value, 0) - 1
            return self.access[value] >= 0
        return token == f"Token {LEGACY}"

    def refresh(self, said: Any) -> Answer:
        if said != {"refresh": PERSONAL}:
            return recorded("bad_refresh")
        status, body = recorded("refresh")
        body["access"] += str(len(self.access))
        self.access[body["access"]] = self.lives
        return status, body

    def create(self, said: Any) -> Answer:
        status, body = recorded("create")
        self.projects[len(self.projects) + 1] = body | {"id": len(self.projects) + 1} | said
        return status, self.projects[len(self.projects)]

    def listed(self) -> Answer:
        status, body = recorded("projects")
        results = [*self.projects.values()]
        return status, body | {"count": len(results), "next": None, "results": results}

    def page_of_tasks(self, project: int, page: int, size: int) -> Answer:
        status, body = recorded("tasks")
        mine = [task for task in self.tasks.values() if task["project"] == project]
        some = mine[(page - 1) * size : page * size]
        if not some and page > 1:
            return recorded("past_the_end")
        return status, body | {"total": len(mine), "tasks": some}

    def load(self, project: int, said: Any) -> Answer:
        image = re.search(r'value="\$(\w+)"', self.projects[project]["label_config"])
        assert image
        if any(image[1] not in one["data"] for one in said):
            return recorded("bad_import")
        status, body = recorded("import")
        template = recorded("tasks")[1]["tasks"][0]
        ids = []
        for one in said:
            number = max(self.tasks, default=0) + 1
            fresh = {"id": number, "project": project, "annotations": [], "data": one["data"]}
            self.tasks[number] = template | fresh | {"predictions": one.get("predictions", [])}
            ids.append(number)
        return status, body | {"task_ids": ids, "task_count": len(ids)}

    def annotate(self, task: int, said: Any) -> Answer:
        status, body = recorded("annotate")
        number = sum(len(one["annotations"]) for one in self.tasks.values()) + 1
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        made = body | {"id": number, "task": task, "created_at": now, "updated_at": now} | said
        self.tasks[task]["annotations"].append(made)
        return status, made

    def export(self, project: int) -> Answer:
        status, body = recorded("export")
        mine = [task for task in self.tasks.values() if task["project"] == project and task["annotations"]]
        keys = body[0].keys() & {"id", "annotations", "predictions", "data", "project"}
        return status, [body[0] | {key: task[key] for key in keys} for task in mine]


class _Handler(BaseHTTPRequestHandler):
    server: LabelStudio

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        said = json.loads(self.rfile.read(length)) if length else None
        if self.server.hold is not None:
            self.server.hold.wait(10)
        with self.server.lock:
            status, body = self.server.answer(self.command, self.path, self.headers.get("Authorization"), said)
        location = body.pop("Location", None) if isinstance(body, dict) and 300 <= status < 400 else None
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = do_DELETE = _serve

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def serving() -> Iterator[LabelStudio]:
    """The server, up."""
    server = LabelStudio()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
