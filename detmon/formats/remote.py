"""Logs that lie elsewhere: `s3://`, `gs://`, `https://`.

An object is copied to a temporary file when its turn comes, and read like any other file: every format works, nothing
of an object that breaks off is read, its content has one fingerprint wherever it lies, and memory stays bounded (the
room is taken on the disk, one object at a time). Small objects are copied a few at a time ahead of their turn. An
object whose version is the one that was read before is not copied at all.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from detmon.errors import OperationError, UsageError
from detmon.formats.contract import NO_ROOM, Fetched, Remote, Source
from detmon.formats.temporary import temporary

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

AT_A_TIME = 16
"""Small objects that are copied at the same time."""
SMALL = 4 << 20
"""Bytes of an object that may be copied ahead of its turn."""
AHEAD = 32
"""Small objects that wait at most, so at most 128 MiB."""
SCHEMES = ("s3", "gs", "https", "http")

_KEPT: ContextVar[dict[str, tuple[Source, ExitStack]] | None] = ContextVar("kept", default=None)


def is_remote(name: str | Path) -> bool:
    """Whether a name is an address."""
    return "://" in str(name)


def spoken(name: str | Path) -> str:
    """A name as messages and the store have it: without the parts of an address that can be secrets."""
    if str(name).casefold().startswith(("http://", "https://")):
        from detmon.formats.web import shown

        return shown(str(name))
    return str(name)


def find(name: str) -> Iterator[Source]:
    """The objects behind an address: one, those of a "folder", or those that a glob matches.

    Raises UsageError for an address that cannot be one, or behind which is nothing; OperationError when it cannot be
    asked.
    """
    scheme = name.partition("://")[0].casefold()
    if scheme not in SCHEMES:
        raise UsageError(f"{scheme}:// cannot be read", f"one of {', '.join(f'{one}://' for one in SCHEMES[:3])}")
    if scheme in ("s3", "gs"):
        from detmon.formats.buckets import objects

        found: Iterable[Remote] = objects(name)
    else:
        from detmon.formats.web import Page

        found = [Page(name)]
    for one in found:
        yield Source(one.name, remote=one)


def fetch(name: str, file: IO[bytes]) -> None:
    """Copy the one object at an address to an open file. Raises OperationError, or UsageError where there is none."""
    found = list(find(name))
    if len(found) != 1 or found[0].remote is None:
        raise UsageError(f"{spoken(name)} holds {len(found)} objects", "name one of them")
    found[0].remote.fetch(file, None)


@contextmanager
def opened(name: str | Path) -> Iterator[Source]:
    """The one file or object that is called `name`, as a local file for the time being."""
    if not is_remote(name):
        yield Source(str(name), Path(name).expanduser())
        return
    kept = _KEPT.get()
    if kept is None or str(name) not in kept:
        with ExitStack() as stack:
            source = stack.enter_context(_copy_of(str(name)))
            if kept is None:
                yield source
                return
            kept[str(name)] = source, stack.pop_all()
    yield kept[str(name)][0]


@contextmanager
def keeping() -> Iterator[None]:
    """Inside, what is `opened` several times (a list for many logs) is copied once."""
    kept: dict[str, tuple[Source, ExitStack]] = {}
    token = _KEPT.set(kept)
    try:
        yield
    finally:
        _KEPT.reset(token)
        for _, stack in kept.values():
            stack.close()


@contextmanager
def _copy_of(name: str) -> Iterator[Source]:
    found = list(find(name))
    if len(found) != 1:
        raise UsageError(f"{found[0].name.rpartition('/')[0]}/ holds {len(found)} objects", "name one of them")
    with Copies(found) as copies, copies.local(found[0]) as source:
        assert source is not None  # no version is known
        yield source


class Copies:
    """Temporary copies of remote sources, one at a time and in order; local sources are passed on as they are.

    `known`: the versions that were read before, by name.
    """

    def __init__(self, sources: Iterable[Source], known: Mapping[str, str] | None = None) -> None:
        self._known = known or {}
        self._small = (one for one in (source.remote for source in sources) if one is not None and _is_small(one))
        self._waiting: dict[int, Future[_Copy]] = {}
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Copies:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        for future in self._waiting.values():
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().file.close()

    @contextmanager
    def local(self, source: Source) -> Iterator[Source | None]:
        """The source as a local file; None where it is as it was read before.

        The file is gone afterwards. Raises OperationError.
        """
        if source.remote is None:
            yield source
            return
        self._look_ahead()
        future = self._waiting.pop(id(source.remote), None)
        copy = future.result() if future else self._copied(source.remote)
        with copy.file:
            if copy.fetched.changed:
                yield replace(source, path=Path(copy.file.name), fetched=copy.fetched)
            else:
                yield None

    def _look_ahead(self) -> None:
        while len(self._waiting) < AHEAD and (remote := next(self._small, None)) is not None:
            if self._pool is None:
                from concurrent.futures import ThreadPoolExecutor

                self._pool = ThreadPoolExecutor(AT_A_TIME, "detmon-copy")
            self._waiting[id(remote)] = self._pool.submit(self._copied, remote)

    def _copied(self, remote: Remote) -> _Copy:
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if remote.size is not None and remote.size > free:
            raise _no_room(remote, f", {free:,} are free")
        file = temporary(".copy")
        try:
            fetched = remote.fetch(file, self._known.get(remote.name))
            file.flush()
        except OSError as error:
            file.close()
            if error.errno not in NO_ROOM:
                raise
            raise _no_room(remote) from None
        except BaseException:
            file.close()
            raise
        return _Copy(file, fetched)


def _no_room(remote: Remote, free: str = "") -> OperationError:
    size = f" ({remote.size:,} bytes{free})" if remote.size else ""
    text = f"{remote.name}: no room for its copy{size} in {tempfile.gettempdir()}"
    return OperationError(text, "TMPDIR=FOLDER names another place")


def _is_small(remote: Remote) -> bool:
    return remote.size is not None and remote.size <= SMALL


@dataclass(frozen=True)
class _Copy:
    """A copy, gone when its file is closed."""

    file: IO[bytes]
    fetched: Fetched
