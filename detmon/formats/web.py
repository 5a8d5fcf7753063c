"""Single files behind `https://` (and `http://` of this machine)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from detmon.errors import OperationError, UsageError
from detmon.formats.contract import Fetched

if TYPE_CHECKING:
    import requests

BLOCK = 1 << 20
ATTEMPTS = 5
"""Failures until a file is given up; those before a resumed copy got on do not count."""
PAUSE = 0.5
"""Seconds until the second attempt; they double."""
LONGEST_PAUSE = 30.0
CONNECT_SECONDS, SILENT_SECONDS = 10, 60
REDIRECTS = 5
NOT_NOW = (408, 425, 429, 500, 502, 503, 504)
STATUS = {
    401: ("the server wants a log-in", "a signed URL, or ~/.netrc, gives access"),
    403: ("access is denied", "is the signed URL expired?"),
    404: ("it is not there", None),
    410: ("it is gone", None),
}


class Page:
    """The file behind a URL; `name` is the URL without query, fragment and user: those can be secrets."""

    size: int | None = None

    def __init__(self, url: str) -> None:
        self.name = shown(url)
        self.url = url
        """The whole URL, for the one who asks for it."""
        _check(url, self.name)

    def fetch(self, file: IO[bytes], known: str | None) -> Fetched:
        """Copy it, going on where it broke off when the server can. Its version is a strong ETag."""
        import requests

        with requests.Session() as session:
            try:
                return _Download(self, session, file, known if self._told_apart else None).run()
            except requests.exceptions.SSLError:
                text = f"cannot read {self.name}: the certificate of the server is not trusted"
                raise OperationError(
                    text, "REQUESTS_CA_BUNDLE=FILE names another authority", code="unreadable"
                ) from None

    @property
    def _told_apart(self) -> bool:
        """Whether the name stands for the whole URL."""
        return "?" not in self.url

    def version(self, etag: str | None) -> str | None:
        """The version that an ETag stands for, where it can be trusted."""
        return etag if self._told_apart else None


class _NotNow(Exception):
    """It failed for the moment: why, and how many seconds the server asks to wait."""

    def __init__(self, why: str, pause: float | None = None) -> None:
        super().__init__(why)
        self.pause = pause


class _Download:
    """One file on its way: what has arrived, and which version it is of."""

    def __init__(self, page: Page, session: requests.Session, file: IO[bytes], known: str | None) -> None:
        self.page = page
        self.session = session
        self.file = file
        self.known = known
        self.etag: str | None = None
        self.resumable = False
        self.failures = 0

    def run(self) -> Fetched:
        """Copy all of it."""
        while True:
            try:
                return self._once()
            except _NotNow as error:
                self.failures += 1
                if self.failures >= ATTEMPTS:
                    why = f"cannot read {self.page.name}: {error} ({ATTEMPTS} attempts)"
                    raise OperationError(why, "nothing of it was read; run it again later", code="unreadable") from None
                pause = PAUSE * 2 ** (self.failures - 1) if error.pause is None else error.pause
                time.sleep(min(pause, LONGEST_PAUSE))

    def _once(self) -> Fetched:
        at = self.file.tell() if self.resumable else 0
        headers = {"Accept-Encoding": "identity"}
        if at:
            headers |= {"Range": f"bytes={at}-", "If-Range": self.etag or ""}
        elif self.known:
            headers["If-None-Match"] = self.known
        with _failing_for_now(), self._answer(headers) as answer:
            if answer.status_code == 304:
                return Fetched(self.known, changed=False)
            if answer.status_code != 206:
                self.file.seek(0)
                self.file.truncate()
                self._remember(answer)
            self._copy(answer, gets_on=answer.status_code == 206)
        return Fetched(self.page.version(self.etag))

    def _answer(self, headers: dict[str, str]) -> requests.Response:
        """The answer of the last address, behind redirects that do not leave https."""
        url, name = self.page.url, self.page.name
        for _ in range(REDIRECTS + 1):
            timeouts = (CONNECT_SECONDS, SILENT_SECONDS)
            answer = self.session.get(url, headers=headers, stream=True, allow_redirects=False, timeout=timeouts)
            if not answer.is_redirect:
                self._judge(answer)
                return answer
            answer.close()
            onward = urljoin(url, answer.headers["Location"])
            if url.startswith("https:") and not onward.startswith("https:"):
                text = f"cannot read {name}: it leads out of https, to {shown(onward)}"
                raise OperationError(text, code="unreadable")
            url = onward
            _check(url, f"{name} leads to {shown(url)}")
        raise OperationError(f"cannot read {name}: more than {REDIRECTS} redirects", code="unreadable")

    def _judge(self, answer: requests.Response) -> None:
        status = answer.status_code
        if status in (200, 206, 304):
            return
        answer.close()
        if status in NOT_NOW:
            after = answer.headers.get("Retry-After", "")
            raise _NotNow(f"the server answered {status}", float(after) if after.isdecimal() else None)
        if status == 416:  # it is shorter now: from the beginning
            self.resumable = False
            raise _NotNow("it was changed while it was read")
        what, hint = STATUS.get(status, ("", None))
        text = f"the server answered {status}{what and f': {what}'}"
        raise OperationError(f"cannot read {self.page.name}: {text}", hint, code="unreadable")

    def _remember(self, answer: requests.Response) -> None:
        etag = answer.headers.get("ETag", "")
        self.etag = etag if etag.startswith('"') else None
        self.resumable = self.etag is not None and answer.headers.get("Accept-Ranges") == "bytes"

    def _copy(self, answer: requests.Response, *, gets_on: bool) -> None:
        expected = answer.headers.get("Content-Length")
        begun = self.file.tell()
        while block := answer.raw.read(BLOCK, decode_content=False):
            self.file.write(block)
            self.failures = 0 if gets_on else self.failures
        if expected is not None and self.file.tell() - begun != int(expected):
            raise _NotNow("the connection broke off")


@contextmanager
def _failing_for_now() -> Iterator[None]:
    """What a next attempt may cure."""
    import requests
    import urllib3

    try:
        yield
    except requests.exceptions.SSLError:
        raise
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
        raise _NotNow("the server does not answer") from None
    except requests.exceptions.ConnectionError:
        raise _NotNow("the server cannot be reached") from None
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError):
        raise _NotNow("the connection broke off") from None


def shown(url: str) -> str:
    """A URL without user, query and fragment. Raises UsageError for what is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise UsageError("the address is no URL", "https://HOST/PATH") from None
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _check(url: str, name: str) -> None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host:
        raise UsageError(f"{name}: names no server", "https://HOST/PATH")
    if parts.scheme == "http" and host != "localhost" and host != "::1" and not host.startswith("127."):
        raise UsageError(f"{name}: http is read from this machine only", "use https://")
    if parts.scheme not in ("http", "https"):
        raise UsageError(f"{name}: only https:// is read")
