"""Bytes: files and streams, decompressed, with a look at the first of them."""

from __future__ import annotations

import io
import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from detmon.errors import OperationError
from detmon.formats.contract import Source
from detmon.formats.temporary import temporary

HEAD = 1 << 16
LONGEST_HEAD = 1 << 20
GZIP, ZSTD, PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"


class Input:
    """One source, opened: `head` is its beginning (decompressed), `read` goes on from the start.

    Of a folder whose files are one log (`files`, to be read by `each`), `head` is that of the first file with content.
    `folder` is where it lies, for those who look for what lies beside it; None where that cannot be seen.
    `live`: the stream may pause, so what is there should be handed on after a while.
    """

    def __init__(self, source: Source) -> None:
        self.name = source.name
        self.path = source.path
        self.files = source.files
        self.folder = _folder(source)
        self.follow = source.follow
        self.live = source.stream is not None or source.follow
        self._spool: Any = None
        self._copy: BinaryIO | None = None
        self._raw = self._file = self._open(source)
        self._fd = _descriptor(self._raw) if self.live else None
        self._kept = b""
        try:
            first = self._some(4)
            self.compressed = first.startswith((GZIP, ZSTD))
            if self.compressed:
                self._decompress(first)
            self.head = self._peek()
        except BaseException:
            self.close()
            raise

    def _open(self, source: Source) -> BinaryIO:
        if source.stream is not None:
            return source.stream
        if source.path is None:
            raise OperationError(f"{source.name}: nothing to read", code="unreadable")
        path = next((file for file in source.files if file.stat().st_size), source.path)
        try:
            return path.open("rb")
        except OSError as error:
            raise OperationError(f"cannot read {source.name}: {error.strerror}", code="unreadable") from None

    def _some(self, n: int) -> bytes:
        """At least `n` bytes, fewer only at the end; they will be read again."""
        while len(self._kept) < n:
            more = self._more()
            if not more:
                break
            self._kept += more
        return self._kept

    def _more(self) -> bytes:
        """More bytes of the beginning; a file that is followed may still be empty."""
        while not (more := self._pull(HEAD)) and self.follow and self.path is not None:
            self.grown(1.0)
        return more

    def _peek(self) -> bytes:
        """The first line at least (up to 1 MiB), and what came with it."""
        while len(self._kept) < LONGEST_HEAD:
            enough = len(self._kept) >= HEAD or (self.live and bool(self._kept.strip()))
            if enough and b"\n" in self._kept.lstrip():
                break
            more = self._more()
            if not more:
                break
            self._kept += more
        return self._kept[:LONGEST_HEAD]

    def _decompress(self, first: bytes) -> None:
        import pyarrow as pa

        base, descriptor = self._raw, self._fd
        whole = _Rejoined(first, lambda n: os.read(descriptor, n) if descriptor is not None else base.read(n))
        self._kept, self._fd, self.live, self.follow = b"", None, False, False
        if first.startswith(GZIP):
            import gzip

            self._raw = gzip.GzipFile(fileobj=whole)  # type: ignore[assignment]
        else:
            self._raw = pa.CompressedInputStream(pa.PythonFile(whole, mode="r"), "zstd")

    def _pull(self, n: int) -> bytes:
        try:
            if self._fd is not None:
                return os.read(self._fd, n)
            read: Callable[[int], bytes] = getattr(self._raw, "read1", self._raw.read)
            return bytes(read(n))
        except (OSError, EOFError, ValueError) as error:
            what = (
                "is cut off or damaged" if not isinstance(error, OSError) or error.errno is None else "cannot be read"
            )
            raise OperationError(f"{self.name} {what}: {error}", code="unreadable") from None
        except Exception as error:
            if type(error).__module__ in ("zlib", "pyarrow.lib"):
                raise OperationError(f"{self.name} is cut off or damaged: {error}", code="unreadable") from None
            raise

    def read(self, n: int) -> bytes:
        """Up to `n` bytes, as many as are there; b"" at the end."""
        if self._kept:
            found, self._kept = self._kept[:n], self._kept[n:]
            return found
        return self._pull(n)

    def wait(self, seconds: float) -> bool:
        """Whether more can be read (or the end is reached) within `seconds`."""
        if self._kept or self._fd is None:
            return True
        ready, _, _ = select.select([self._fd], [], [], max(seconds, 0))
        return bool(ready)

    def grown(self, seconds: float) -> bool:
        """Whether a followed file has grown within `seconds`; call it at the end of the file."""
        end = time.monotonic() + seconds
        while self.path is not None and self._fd is not None:
            if os.fstat(self._fd).st_size > os.lseek(self._fd, 0, os.SEEK_CUR):
                return True
            if time.monotonic() >= end:
                return False
            time.sleep(min(0.1, seconds))
        return False

    def blocks(self, n: int = 1 << 20) -> Iterator[bytes]:
        """All bytes, in blocks."""
        while block := self.read(n):
            yield block

    def each(self) -> Iterator[tuple[str, bytes]]:
        """Name and bytes of each file of a folder; of the one file else."""
        if not self.files:
            yield Path(self.name).name, self.whole()
        for file in self.files:
            try:
                yield file.name, file.read_bytes()
            except OSError as error:
                raise OperationError(f"cannot read {file}: {error.strerror}", code="unreadable") from None

    @property
    def _plain(self) -> bool:
        """Whether this is one file that is read as it is."""
        return self.path is not None and not (self.compressed or self.files or self.live)

    def whole(self) -> bytes:
        """All bytes at once."""
        if self._plain and self._raw.seekable():
            self._raw.seek(0)
            return self._raw.read()  # into one piece of memory
        return b"".join(self.blocks())

    @contextmanager
    def text(self) -> Iterator[io.TextIOBase]:
        """All of it as UTF-8 text, the byte-order mark dropped."""
        stream = io.BufferedReader(_Rejoined(b"", self.read))
        yield io.TextIOWrapper(stream, "utf-8-sig", errors="replace", newline="")

    def as_path(self) -> Path:
        """A file with these bytes: the file itself, or a spooled copy that goes with this object."""
        if self.path is not None and not self.compressed:
            return self.path
        if self._spool is None:
            self._spool = temporary(".spool")
            for block in self.blocks():
                self._spool.write(block)
            self._spool.flush()
        return Path(self._spool.name)

    def as_file(self) -> BinaryIO:
        """The same, opened; it goes with this object too."""
        if self._copy is None:
            self._copy = self.as_path().open("rb")
        return self._copy

    def close(self) -> None:
        """Let go of files; a stream that was handed in stays open."""
        if self.path is not None:
            self._file.close()
        for file in (self._copy, self._spool):
            if file is not None:
                file.close()


class _Rejoined(io.RawIOBase):
    """Bytes already taken from a stream, then the rest of it."""

    def __init__(self, first: bytes, more: Callable[[int], bytes]) -> None:
        self._first = first
        self._more = more

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self._first[: len(buffer)] or self._more(len(buffer))
        self._first = self._first[len(found) :]
        buffer[: len(found)] = found
        return len(found)


def _folder(source: Source) -> Path | None:
    if source.path is None or source.remote is not None:
        return None
    return source.path if source.files else source.path.parent


def _descriptor(stream: BinaryIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None
