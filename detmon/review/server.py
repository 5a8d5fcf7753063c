"""A Label Studio server: the five calls of `review push` and `review pull`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from detmon import environment
from detmon.errors import OperationError, UsageError
from detmon.formats.remote import spoken
from detmon.review.looks import parsed

if TYPE_CHECKING:
    import requests

KEY = "LABEL_STUDIO_API_KEY"
CONNECT_SECONDS, SILENT_SECONDS = 10, 120
PAGE, PROJECTS = 500, 100
AGAIN = 3
"""Further attempts at a question (never at sending) when the server or the network fails."""
HINTS = {
    401: f"legacy tokens are off by default: use a personal access token in {KEY}",
    403: "the token's owner may not do this",
    404: "--project is the number, or the title, of a project that the token's owner can see",
}


class Server:
    """The server at `url`, with a legacy token or a personal access token as `key`."""

    def __init__(self, url: str, key: str) -> None:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        self.url = url.rstrip("/")
        self.name = spoken(self.url).rstrip("/")
        self._key = key
        self._access: str | None = None
        self._session = requests.Session()
        self._session.auth = _keep_headers  # or a ~/.netrc would replace the Authorization header
        again = Retry(AGAIN, status_forcelist=(429, 502, 503, 504), raise_on_status=False, backoff_factor=0.3)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=again))  # GETs only: urllib3 does not repeat a POST

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def project(self, id_or_title: str) -> dict[str, Any] | None:
        """A project by its number or title; None where no title is this one. Raises UsageError for several."""
        if id_or_title.isdecimal():
            found: dict[str, Any] = self._ask("GET", f"/api/projects/{id_or_title}/", what=f"project {id_or_title}")
            return found
        same = [one for one in self._projects() if one.get("title") == id_or_title]
        if len(same) > 1:
            ids = ", ".join(str(one["id"]) for one in same)
            raise UsageError(f"{self.name} has several projects {id_or_title!r}", f"give one's number: {ids}")
        return same[0] if same else None

    def _projects(self) -> Iterator[dict[str, Any]]:
        page = 1
        while True:
            found = self._ask("GET", f"/api/projects/?page={page}&page_size={PROJECTS}", what="the projects")
            yield from found.get("results") or ()
            if not found.get("next"):
                return
            page += 1

    def create(self, title: str, label_config: str) -> dict[str, Any]:
        """Make a project."""
        said = {"title": title, "label_config": label_config}
        found: dict[str, Any] = self._ask("POST", "/api/projects/", what=f"project {title!r}", json=said)
        return found

    def tasks(self, project: int) -> Iterator[dict[str, Any]]:
        """All tasks of a project."""
        page, seen = 1, 0
        while True:
            path = f"/api/tasks?project={project}&fields=all&page_size={PAGE}&page={page}"
            found = self._ask("GET", path, what=f"the tasks of project {project}")
            some = found.get("tasks") or ()
            yield from some
            seen += len(some)
            if not some or seen >= int(found.get("total") or 0):
                return
            page += 1

    def send(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Make tasks; the same tasks again make more of them."""
        path = f"/api/projects/{project}/import?return_task_ids=true"
        self._ask("POST", path, what=f"project {project}", json=list(tasks))

    def annotated(self, project: int) -> list[Any]:
        """The annotated tasks of a project."""
        path = f"/api/projects/{project}/export?exportType=JSON"
        found: list[Any] = self._ask("GET", path, what=f"project {project}")
        return found

    # --- asking ---

    def _ask(self, method: str, path: str, *, what: str, json: Any = None) -> Any:
        answer = self._request(method, path, json, self._authorization())
        if answer.status_code == 401 and self._access is not None:  # it lives for five minutes
            self._access = None
            answer = self._request(method, path, json, self._authorization())
        self._judge(answer, what)
        try:
            return parsed(answer.content.decode())
        except ValueError:
            hint = "is this the address of Label Studio itself?"
            raise OperationError(f"{self.name} answers {what} with something that is no JSON", hint) from None

    def _authorization(self) -> str:
        if self._key.count(".") != 2:
            return f"Token {self._key}"
        if self._access is None:  # the key is a personal access token
            answer = self._request("POST", "/api/token/refresh/", {"refresh": self._key}, None)
            self._judge(answer, "the token")
            self._access = str(answer.json()["access"])
        return f"Bearer {self._access}"

    def _request(self, method: str, path: str, json: Any, authorization: str | None) -> requests.Response:
        import requests

        headers = {} if authorization is None else {"Authorization": authorization}
        limits = (CONNECT_SECONDS, SILENT_SECONDS)
        try:
            return self._session.request(
                method, self.url + path, json=json, headers=headers, timeout=limits, allow_redirects=False
            )
        except requests.exceptions.SSLError:
            text, hint = "its certificate is not trusted", "REQUESTS_CA_BUNDLE=FILE names another authority"
        except requests.exceptions.Timeout:
            sent = method == "POST" and "/import" in path
            text = "it does not answer" + (": whether the tasks have arrived is not known" if sent else "")
            hint = "run it again: tasks that are there are not sent again" if sent else "run it again later"
        except requests.exceptions.RequestException as error:
            cause = getattr(error.args[0] if error.args else error, "reason", None) or error
            text, hint = f"it cannot be reached ({type(cause).__name__})", "is the address right, and the server up?"
        raise OperationError(f"{self.name}: {text}", hint)

    def _judge(self, answer: requests.Response, what: str) -> None:
        status = answer.status_code
        if 200 <= status < 300:
            return
        if answer.is_redirect:
            where = urlsplit(answer.headers["Location"])
            base = f"{where.scheme}://{where.netloc.rpartition('@')[2]}" if where.netloc else where.path
            raise OperationError(f"{self.name} leads to {base}", "give that address as --url")
        said = self._clean(_detail(answer))
        text = "token refused" if status == 401 else f"{what}: the server answered {status}"
        raise OperationError(f"{self.name}: {text}" + (f": {said}" if said else ""), HINTS.get(status))

    def _clean(self, text: str) -> str:
        """Text without secrets."""
        for secret in (self._key, self._access):
            text = text.replace(secret, "***") if secret else text
        return text


def _detail(answer: requests.Response) -> str:
    """What the server says of an error, in a line."""
    try:
        said = answer.json()
    except ValueError:
        return ""
    if isinstance(said, dict):
        more = said.get("validation_errors")
        parts = [said.get("detail"), *(_flat(more) if more else ())]
        return "; ".join(str(part) for part in parts if part)[:500] or "; ".join(_flat(said))[:500]
    return "; ".join(_flat(said))[:500]


def _flat(said: Any) -> Iterator[str]:
    if isinstance(said, Mapping):
        for key, value in said.items():
            yield from (f"{key}: {one}" for one in _flat(value))
    elif isinstance(said, list):
        for one in said:
            yield from _flat(one)
    elif said is not None:
        yield str(said)


def _keep_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def connect(url: str | None) -> Server:
    """The server that the call, or the environment, names. Raises UsageError where something is missing."""
    url = url or environment.value("LABEL_STUDIO_URL")
    if url is None:
        raise UsageError("no server is named", "--url URL, or LABEL_STUDIO_URL")
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise UsageError(f"--url {spoken(url)!r} is no address", "https://HOST")
    key = environment.value(KEY)
    if key is None:
        raise UsageError(f"no token for {spoken(url)}", f"{KEY}, or {KEY}_FILE: Label Studio, Account & Settings")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(f"what {KEY} holds is no token")
    return Server(url, key)
