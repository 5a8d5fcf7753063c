"""Streams that never end by themselves: standard input or a growing file, until somebody says stop."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from detmon.errors import OperationError
from detmon.formats.contract import Source

LOOK_AGAIN = 0.2
"""Seconds between two looks at a file that has not grown."""
BLOCK = 1 << 20


class Followed:
    """A source as a pipe: `source` reads what arrives, and ends after `stop`.

    A followed file is read from its beginning (records that are stored already are duplicates), and again from the
    beginning after it was replaced or cut.
    """

    def __init__(self, source: Source) -> None:
        self._origin = _open(source)
        ours, self._out = os.pipe()
        self._wake, self._waker = os.pipe()
        self._stream: BinaryIO = os.fdopen(ours, "rb", buffering=0)
        self.source = Source(source.name, stream=self._stream, follow=True)
        self.signal: int | None = None
        """The signal that ended it, if one did."""
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let the reader see the end, after what is in the pipe."""
        with suppress(OSError):
            os.write(self._waker, b".")

    def close(self) -> None:
        """Stop, and give everything back."""
        self.stop()
        self._stream.close()
        self._thread.join()
        for end in (self._wake, self._waker):
            os.close(end)

    @contextmanager
    def until_signal(self) -> Iterator[None]:
        """SIGINT and SIGTERM stop the source instead of the program; the second one is served as usual."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def stop(number: int, _: object) -> None:
            self.signal = number
            signal.signal(number, before[signal.Signals(number)])
            self.stop()

        for number in before:
            signal.signal(number, stop)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _work(self) -> None:
        with suppress(BrokenPipeError):  # the reader is gone
            if isinstance(self._origin, int):
                self._pass_on(self._origin)
            else:
                self._tail(*self._origin)
        os.close(self._out)

    def _stopped(self, seconds: float) -> bool:
        return bool(select.select([self._wake], [], [], seconds)[0])

    def _pass_on(self, stream: int) -> None:
        while self._wake not in select.select([stream, self._wake], [], [])[0]:
            block = os.read(stream, BLOCK)
            if not block:
                return
            self._write(block)

    def _tail(self, path: Path, file: BinaryIO) -> None:
        last, stopped = b"\n", False
        while True:
            replaced = _replaced(path, file)  # asked before the old file is read to its end
            while block := file.read(BLOCK):
                last = block[-1:]
                self._write(block)
                if self._stopped(0):
                    break
            if replaced:
                file.close()
                file = path.open("rb", buffering=0)
                if last != b"\n":  # what was cut off ends here
                    self._write(b"\n")
            elif stopped:
                return file.close()
            else:
                stopped = self._stopped(LOOK_AGAIN)

    def _write(self, block: bytes) -> None:
        view = memoryview(block)
        while view:
            view = view[os.write(self._out, view) :]


def _open(source: Source) -> int | tuple[Path, BinaryIO]:
    """What to pump: the descriptor of a stream, or a path and its open file."""
    if source.stream is not None:
        return source.stream.fileno()
    assert source.path is not None
    try:
        return source.path, source.path.open("rb", buffering=0)
    except OSError as error:
        raise OperationError(f"cannot read {source.name}: {error.strerror}") from None


def _replaced(path: Path, file: BinaryIO) -> bool:
    """Whether the path is another file now, or was cut behind our place."""
    try:
        now, ours = path.stat(), os.fstat(file.fileno())
    except OSError:
        return False  # moved away; the next one is not there yet
    return now.st_ino != ours.st_ino or now.st_size < file.tell()
