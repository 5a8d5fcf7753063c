"""The pictures of a version: found where their log says they lie, and brought where they are wanted."""

from __future__ import annotations

import errno
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from detmon.errors import DetmonError
from detmon.formats.remote import fetch, is_remote, spoken

PROBLEMS = {
    "image_missing": "there is no such file",
    "image_unreadable": "they cannot be read",
    "no_picture": "what is there is no picture",
    "no_size": "their size is not known",
}
"""Why images are left out of an export."""
Way = Literal["copy", "link", "none"]
AT_A_TIME = 8
"""Pictures that are brought at the same time."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""There is no room for a picture where it is wanted."""
PATIENCE = 8
"""So many failures of one server, and no success, until it is asked no more."""


@dataclass(frozen=True)
class Wanted:
    """A picture, and where it is to be brought."""

    image_id: str
    image_uri: str | None
    target: Path


@dataclass(frozen=True)
class Brought:
    """What became of a picture: its size in pixels where that is known, or why it is not there (`PROBLEMS`)."""

    size: tuple[int, int] | None = None
    problem: str | None = None
    detail: str = ""


@dataclass
class Pictures:
    """Brings pictures, local ones below `root` before all others. `way`: copy them, link to them, or only look."""

    way: Way
    root: Path | None = None
    _failed: Counter[str] = field(default_factory=Counter)
    _answered: set[str] = field(default_factory=set)

    def bring(self, wanted: Iterable[Wanted]) -> Iterator[Brought]:
        """Each in turn, a few at a time."""
        from concurrent.futures import ThreadPoolExecutor

        if self.way == "none":
            yield from map(self._looked, wanted)
            return
        pool = ThreadPoolExecutor(AT_A_TIME, "detmon-picture")
        try:
            yield from pool.map(self._brought, wanted)
        finally:
            pool.shutdown(cancel_futures=True)

    def _looked(self, one: Wanted) -> Brought:
        path = self._local(one)
        return Brought(size_of(path) if path else None)

    def _brought(self, one: Wanted) -> Brought:
        try:
            path = self._local(one)
            if path is not None and self.way == "link":
                one.target.symlink_to(path.absolute())
            elif path is not None:
                shutil.copyfile(path, one.target)
            elif one.image_uri and is_remote(one.image_uri):
                self._fetch(one.image_uri, one.target)
            else:
                return Brought(problem="image_missing", detail=one.image_uri or one.image_id)
        except DetmonError as error:
            return self._without(one, "image_unreadable", error.message)
        except OSError as error:
            if error.errno in FULL:
                raise  # not this picture is the matter: what is missing of the others would be chance
            return self._without(one, "image_unreadable", error.strerror or str(error))
        size = size_of(one.target)
        return Brought(size) if size else self._without(one, "no_picture", str(path or spoken(one.image_uri or "")))

    @staticmethod
    def _without(one: Wanted, problem: str, detail: str) -> Brought:
        one.target.unlink(missing_ok=True)
        return Brought(problem=problem, detail=detail)

    def _local(self, one: Wanted) -> Path | None:
        """Where the picture lies on this machine: below the root, at its address, or at the path that is its id."""
        uri = one.image_uri
        if uri and uri.casefold().startswith("file://"):
            uri = unquote(urlsplit(uri).path)
        names = [name for name in (uri, one.image_id) if name and not is_remote(name)]
        below = [self.root / name.lstrip("/") for name in (one.image_id, *names)] if self.root else []
        return next((path for path in (*below, *map(Path, names)) if is_file(path)), None)

    def _fetch(self, address: str, target: Path) -> None:
        server = "/".join(address.split("/", 3)[:3])
        if self._failed[server] >= PATIENCE and server not in self._answered:
            raise GivenUp(f"not asked for: {PATIENCE} others of {server} failed")
        try:
            with target.open("wb") as file:
                fetch(address, file)
        except DetmonError:
            self._failed[server] += 1
            raise
        self._answered.add(server)


class GivenUp(DetmonError):
    """A server failed too often."""


def is_file(path: Path) -> bool:
    """Whether there is a file; names that no file can have are names of none."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long a name, or a zero byte in it
        return False


def size_of(path: Path) -> tuple[int, int] | None:
    """Width and height by the picture's header, as viewers turn it; None for what is no picture."""
    import imagesize

    try:
        width, height = imagesize.get(path)
    except (OSError, ValueError, IndexError, OverflowError):
        return None
    return (int(width), int(height)) if width > 0 and height > 0 else None
