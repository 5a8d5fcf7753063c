"""The trainer `github`: a workflow of GitHub Actions, dispatched by REST.

A dispatch answers with the run that it made where the server knows `return_run_details`; an older one answers 204 and
nothing. Then the run is the one whose title holds the job's id, which the workflow puts there (`run-name`).
https://docs.github.com/en/rest/actions
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from detmon import environment
from detmon.errors import ConfigError, DetmonError, OperationError, UsageError
from detmon.hookspecs import JobStatus, Poll, TrainedModel, Trainer, TrainerConfig, TrainingTask
from detmon.training import described, placeholders

if TYPE_CHECKING:
    from requests import Response

API = "https://api.github.com"
VERSION = "2022-11-28"
TIMEOUT = (10, 60)
INPUTS = {
    "job": "{job}",
    "dataset": "{dataset}",
    "version": "{version}",
    "digest": "{digest}",
    "base_model": "{base_model}",
}
"""What the workflow is given, unless the table `inputs` says otherwise."""
ARTIFACT = "model"
"""The artifact whose `model.json` describes the model."""
LARGEST = 64 << 20
"""Bytes of an artifact or of logs that are fetched."""
CLOCKS = timedelta(minutes=5)
"""A run is looked for among those of so long before its dispatch, and later."""
STATUS: Mapping[str, JobStatus] = {"success": "succeeded", "cancelled": "cancelled"}
"""What the conclusion of a run means; any other one is a failure."""
WORKFLOW = "the workflow needs `on: workflow_dispatch:` on that ref, with exactly these inputs: {}"


@dataclass(frozen=True)
class Handle:
    """What finds a run again; `run` is None where the server did not say which it is."""

    repository: str
    workflow: str
    job: str
    since: str
    run: int | None = None


class GitHub(Trainer):
    """Dispatches `workflow` of `repository` at `ref`; its inputs say where the version is."""

    pause_s = 10.0
    ends_within_s = 300.0

    def __init__(self, config: TrainerConfig) -> None:
        super().__init__(config)
        self._api = (environment.value("GITHUB_API_URL") or API).rstrip("/")

    @property
    def exports(self) -> bool:
        """Without `address` the runner sees this machine's disk, and gets the folder of the export."""
        return "address" not in self.config.table

    def plan(self, task: TrainingTask) -> Sequence[str]:
        """Repository, workflow and ref, then the inputs."""
        self._token()
        said = [f"{key}={value}" for key, value in self._inputs(task).items()]
        return [f"{self._text('repository')}/{self._text('workflow')}@{self._text('ref', 'main')}", *said]

    def start(self, task: TrainingTask) -> str:
        """Dispatch the workflow."""
        repository, workflow, inputs = self._text("repository"), self._text("workflow"), self._inputs(task)
        path = f"/repos/{repository}/actions/workflows/{quote(workflow, safe='')}/dispatches"
        body = {"ref": self._text("ref", "main"), "inputs": inputs}
        answer = self._ask("POST", path, json=body | {"return_run_details": True})
        if answer.status_code in (400, 422) and "return_run_details" in answer.text:  # a server that does not know it
            answer = self._ask("POST", path, json=body)
        self._check(answer, f"the workflow {workflow!r} of {repository}", WORKFLOW.format(", ".join(inputs)))
        run = _object(answer).get("workflow_run_id") if answer.content else None
        return json.dumps(asdict(Handle(repository, workflow, task.id, _since(answer), run)))

    def find(self, task: TrainingTask) -> str | None:
        """The run whose title holds the job's id."""
        handle = Handle(self._text("repository"), self._text("workflow"), task.id, "")
        found = self._search(handle)
        return json.dumps(asdict(replace(handle, run=found["id"]))) if found else None

    def poll(self, handle: str) -> Poll:
        """How the run stands, and the model that its artifact describes."""
        known = _parsed(handle)
        run = self._run(known)
        if run is None:
            title = "its `run-name` must hold ${{ inputs.job }}"
            return Poll("queued", reason=f"no run of {known.workflow} has {known.job} in its title yet: {title}")
        address, conclusion = run.get("html_url"), str(run.get("conclusion"))
        if run["status"] != "completed":
            return Poll("running" if run["status"] == "in_progress" else "queued", log=address)
        status = STATUS.get(conclusion, "failed")
        if status != "succeeded":
            return Poll(status, reason=f"the run's conclusion is {conclusion}", log=address, seconds=_seconds(run))
        try:
            model = self._model(known.repository, run)
        except DetmonError as error:
            return Poll("failed", 0, reason=error.message, log=address, seconds=_seconds(run))
        return Poll("succeeded", 0, model, log=address, seconds=_seconds(run))

    def cancel(self, handle: str) -> None:
        """Cancel the run."""
        known = _parsed(handle)
        run = self._run(known)
        if run is None:
            raise OperationError(f"no run of {known.workflow} has {known.job} in its title: there is none to cancel")
        if run["status"] != "completed":
            answer = self._ask("POST", f"/repos/{known.repository}/actions/runs/{run['id']}/cancel")
            if answer.status_code != 409:  # 409: it has just ended
                self._check(answer, f"run {run['id']} of {known.repository}")

    def log(self, handle: str) -> str:
        """The logs of the run's jobs; GitHub has them when the run is over."""
        known = _parsed(handle)
        run = self._run(known)
        if run is None or run["status"] != "completed":
            raise OperationError("GitHub has the log when the run is over", str(run["html_url"]) if run else None)
        answer = self._ask("GET", f"/repos/{known.repository}/actions/runs/{run['id']}/logs")
        archive = self._archive(answer, f"the log of run {run['id']}")
        names = [name for name in archive.namelist() if "/" not in name]  # folders hold the same, step by step
        return "".join(archive.read(name).decode("utf-8", "replace") for name in names)

    # --- runs ---

    def _run(self, handle: Handle) -> dict[str, Any] | None:
        if handle.run is None:
            return self._search(handle)
        answer = self._ask("GET", f"/repos/{handle.repository}/actions/runs/{handle.run}")
        self._check(answer, f"run {handle.run} of {handle.repository}")
        return _object(answer)

    def _search(self, handle: Handle) -> dict[str, Any] | None:
        path = f"/repos/{handle.repository}/actions/workflows/{quote(handle.workflow, safe='')}/runs"
        asked = {"event": "workflow_dispatch", "per_page": "100"}
        if handle.since:
            asked["created"] = f">={handle.since}"
        answer = self._ask("GET", path, params=asked)
        self._check(answer, f"the workflow {handle.workflow!r} of {handle.repository}")
        runs: list[dict[str, Any]] = _object(answer).get("workflow_runs", [])
        return next((run for run in runs if handle.job in str(run.get("display_title"))), None)

    def _model(self, repository: str, run: Mapping[str, Any]) -> TrainedModel:
        """What the artifact says; without one the model is where the run is."""
        answer = self._ask("GET", f"/repos/{repository}/actions/runs/{run['id']}/artifacts", params={"name": ARTIFACT})
        self._check(answer, f"the artifacts of run {run['id']}")
        there = [one for one in _object(answer).get("artifacts", []) if not one.get("expired")]
        if not there:
            return TrainedModel(uri=run.get("html_url"))
        where = f"the artifact {ARTIFACT!r} of run {run['id']}"
        if there[0].get("size_in_bytes", 0) > LARGEST:
            raise OperationError(f"{where} is too large: it is to hold {described.MODEL} only")
        answer = self._ask("GET", f"/repos/{repository}/actions/artifacts/{there[0]['id']}/zip")
        archive = self._archive(answer, where)
        if described.MODEL not in archive.namelist():
            raise OperationError(f"{where} has no {described.MODEL}")
        model = described.read(archive.read(described.MODEL).decode("utf-8", "replace"), where)
        return model if model.uri else replace(model, uri=run.get("html_url"))

    # --- HTTP ---

    def _ask(self, method: str, path: str, **content: Any) -> Response:
        import requests

        base = urlsplit(self._api)
        if base.scheme != "https" and base.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise ConfigError("GITHUB_API_URL must begin with https://")
        token = self._token()

        def sign(request: Any) -> Any:  # not by a header, which ~/.netrc would replace
            request.headers["Authorization"] = f"Bearer {token}"
            return request

        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": VERSION}
        try:
            return requests.request(
                method, self._api + path, auth=sign, headers=headers, timeout=TIMEOUT, allow_redirects=False, **content
            )
        except requests.RequestException as error:
            maybe = "; a run may have been started all the same" if method == "POST" else ""
            raise OperationError(f"no answer from {base.hostname} ({type(error).__name__}){maybe}") from None

    def _archive(self, answer: Response, where: str) -> zipfile.ZipFile:
        """The archive to which GitHub redirects; the token does not go there."""
        import requests

        if answer.status_code != 302:
            self._check(answer, where)
            raise OperationError(f"{where}: GitHub answered {answer.status_code}")
        try:
            with requests.get(answer.headers["Location"], timeout=TIMEOUT, stream=True) as found:
                found.raise_for_status()
                content = found.raw.read(LARGEST + 1)
            if len(content) > LARGEST:
                raise OperationError(f"{where} is larger than {LARGEST >> 20} MB")
            return zipfile.ZipFile(io.BytesIO(content))
        except (requests.RequestException, zipfile.BadZipFile) as error:
            raise OperationError(f"{where} cannot be fetched: {type(error).__name__}") from None

    def _check(self, answer: Response, what: str, hint: str | None = None) -> None:
        """Raises OperationError, in plain words, for an answer that is none."""
        status, said = answer.status_code, _message(answer)
        if status < 300:
            return
        if status in (403, 429) and (answer.headers.get("X-RateLimit-Remaining") == "0" or "rate limit" in said):
            raise OperationError(f"GitHub's rate limit is used up{_until(answer)}", "later it will answer again")
        reasons = {
            401: ("GitHub refuses the token", "GITHUB_TOKEN: is it expired?"),
            403: (f"the token may not use {what}: {said}", "it needs the permission Actions: read and write"),
            404: (f"GitHub does not have {what}, or the token cannot see it", "[training] repository, workflow"),
            422: (f"GitHub refuses {what}: {said}", hint),
        }
        raise OperationError(*reasons.get(status, (f"GitHub answered {status} for {what}: {said}", None)))

    # --- settings ---

    def _inputs(self, task: TrainingTask) -> dict[str, str]:
        known = {name: value or "" for name, value in placeholders.values(task).items()}
        if "address" in self.config.table:
            known["dataset"] = placeholders.filled(self._text("address"), known, "[training] address")
        inputs = self.config.table.get("inputs", INPUTS)
        return {key: placeholders.filled(str(text), known, "[training] inputs") for key, text in inputs.items()}

    def _text(self, key: str, default: str | None = None) -> str:
        found = self.config.table.get(key, default)
        if not isinstance(found, str) or not found:
            raise ConfigError(
                f"[training] has no {key}" if found is None else f"[training] {key} = {found!r} is no text"
            )
        if key == "repository" and not re.fullmatch(r"[\w.-]+/[\w.-]+", found):
            raise ConfigError(f"[training] repository = {found!r}", "write owner/name")
        return found

    def _token(self) -> str:
        found = self.config.secret(self.config.table.get("token", "GITHUB_TOKEN"))
        if found is None:
            raise UsageError("no token for GitHub", "set GITHUB_TOKEN, or GITHUB_TOKEN_FILE")
        return found.reveal()


def _parsed(handle: str) -> Handle:
    try:
        return Handle(**json.loads(handle))
    except (ValueError, TypeError):
        raise OperationError(f"{handle!r} is no handle of the trainer `github`") from None


def _object(answer: Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise OperationError(f"GitHub answered {answer.status_code} with something that is no JSON object")
    return found


def _message(answer: Response) -> str:
    try:
        said = answer.json().get("message", "")
    except (ValueError, AttributeError):
        said = ""
    return str(said)[:300]


def _since(answer: Response) -> str:
    """An instant before the dispatch by the server's clock."""
    from email.utils import parsedate_to_datetime

    try:
        return (parsedate_to_datetime(answer.headers["Date"]) - CLOCKS).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (KeyError, ValueError):
        return ""


def _until(answer: Response) -> str:
    reset = answer.headers.get("X-RateLimit-Reset", "")
    if answer.headers.get("X-RateLimit-Remaining") == "0" and reset.isdecimal():
        return f" until {datetime.fromtimestamp(int(reset), UTC):%Y-%m-%d %H:%M} UTC"
    wait = answer.headers.get("Retry-After")
    return f" for {wait} s" if wait else ""


def _seconds(run: Mapping[str, Any]) -> float | None:
    """How long a run took that is over."""
    try:
        begun, ended = (datetime.fromisoformat(str(run[key])) for key in ("created_at", "updated_at"))
    except (KeyError, ValueError):
        return None
    return (ended - begun).total_seconds()
