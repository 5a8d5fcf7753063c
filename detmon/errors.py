"""Every error a user can meet.

DetmonError                 message, hint, exit code
├── UsageError          2   the call or the configuration is wrong: change it and call again
│   ├── ConfigError         an unknown key, a wrong type, a file that is no TOML
│   │   └── Mistakes        several of them; `errors` has each
│   ├── UnknownName         no such model, alert, metric, option value …; names the nearest that exists
│   ├── InputRefused        a file whose meaning an option must settle first
│   └── TargetError         a notification target that its plugin cannot accept
└── OperationError      4   the call is right, and it could not be done
    ├── StoreError          the file is no store, or of another version
    └── StoreLocked         another process holds the store; `pid` says which

Interrupted               130   no error: a signal ended the call; `result` is what was done by then
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager


class DetmonError(Exception):
    """Base of all errors: `message` says what and where, `hint` what helps, `exit_code` what the shell gets."""

    exit_code = 4

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(DetmonError):
    """The call is wrong; the same call will fail again."""

    exit_code = 2


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM ended a call of which the main part was done: `result`."""

    def __init__(self, result: object) -> None:
        super().__init__()
        self.result = result


class ConfigError(UsageError):
    """A configuration file or environment variable cannot be used."""


class Mistakes(ConfigError):
    """What is wrong with a configuration, all of it: `errors`."""

    def __init__(self, errors: Sequence[DetmonError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(error.message for error in errors), errors[0].hint if len(errors) == 1 else None)


class Collector:
    """Collects what is wrong with a configuration, so that it is told at once."""

    def __init__(self, errors: Iterable[DetmonError] = ()) -> None:
        self.errors = list(errors)

    @contextmanager
    def at(self, where: str = "") -> Iterator[None]:
        """Take up the UsageError of the block, with the place it is about."""
        try:
            yield
        except Mistakes as mistakes:
            for error in mistakes.errors:
                self._add(where, error)
        except UsageError as error:
            self._add(where, error)

    def _add(self, where: str, error: DetmonError) -> None:
        self.errors.append(ConfigError(f"{where}: {error.message}", error.hint) if where else error)

    def check(self) -> None:
        """Raise what there is: one as it is, several as Mistakes."""
        if self.errors:
            raise self.errors[0] if len(self.errors) == 1 else Mistakes(self.errors)


FEW = 8
"""So many known names are listed where none is alike."""


class UnknownName(UsageError):
    """A name that does not exist; the hint is the nearest one that does, or all where they are few."""

    def __init__(self, kind: str, name: str, known: Iterable[str] = (), hint: str | None = None) -> None:
        self.kind = kind
        self.name = name
        known = list(known)
        self.nearest = nearest(name, known)
        if hint is None and self.nearest:
            hint = f"did you mean {self.nearest!r}?"
        elif hint is None and 0 < len(known) <= FEW:
            hint = f"one of {', '.join(known)}"
        super().__init__(f"unknown {kind} {name!r}", hint)


class InputRefused(UsageError):
    """A file that is not read until an option settles what it means; `code` says why (docs/formats.md).

    Where no option helps (`curable=False`), the shell gets 4.
    """

    def __init__(self, message: str, hint: str | None = None, *, code: str, curable: bool = True) -> None:
        super().__init__(message, hint)
        self.code = code
        if not curable:
            self.exit_code = OperationError.exit_code


class TargetError(UsageError):
    """A notification target that cannot be parsed."""


class OperationError(DetmonError):
    """The call is right, but it could not be done now; `code` says why, where a file could not be read."""

    exit_code = 4

    def __init__(self, message: str, hint: str | None = None, *, code: str | None = None) -> None:
        super().__init__(message, hint)
        self.code = code


class StoreError(OperationError):
    """The store cannot be opened or is damaged."""


class StoreLocked(OperationError):
    """Another process holds the store longer than `--lock-timeout`."""

    def __init__(self, message: str, hint: str | None = None, pid: int | None = None) -> None:
        super().__init__(message, hint)
        self.pid = pid


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None when nothing is alike."""
    import difflib

    folded = {other.casefold(): other for other in known}
    found = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.5)
    return folded[found[0]] if found else None
