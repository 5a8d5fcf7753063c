"""A trainer that can be relied on: whatever a plugin's does wrong is an error of detmon, and stops no other job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, get_args

from detmon.errors import DetmonError, OperationError
from detmon.hookspecs import JobStatus, Poll, Trainer, TrainerConfig, TrainingTask

T = TypeVar("T")
BLAME = "this is a fault of the plugin: `detmon plugins` says which"


class Guarded(Trainer):
    """Calls another trainer; `name` is what it is registered as."""

    def __init__(self, name: str, factory: Callable[[TrainerConfig], Trainer], config: TrainerConfig) -> None:
        super().__init__(config)
        self._name = name
        self._trainer = self._safely(lambda: factory(config))
        self.pause_s, self.ends_within_s = self._trainer.pause_s, self._trainer.ends_within_s

    @property
    def exports(self) -> bool:
        return self._trainer.exports

    def plan(self, task: TrainingTask) -> Sequence[str]:
        return [str(word) for word in self._safely(lambda: self._trainer.plan(task))]

    def start(self, task: TrainingTask) -> str:
        handle = self._safely(lambda: self._trainer.start(task))
        if not isinstance(handle, str) or not handle:
            raise OperationError(f"the trainer {self._name!r} returned the handle {handle!r}, which is no text", BLAME)
        return handle

    def find(self, task: TrainingTask) -> str | None:
        return self._safely(lambda: self._trainer.find(task))

    def poll(self, handle: str) -> Poll:
        found = self._safely(lambda: Poll(*self._trainer.poll(handle)))
        if found.status not in get_args(JobStatus):
            raise OperationError(f"the trainer {self._name!r} says {found.status!r}, which is no status", BLAME)
        return found

    def cancel(self, handle: str) -> None:
        self._safely(lambda: self._trainer.cancel(handle))

    def log(self, handle: str) -> str:
        return str(self._safely(lambda: self._trainer.log(handle)))

    def _safely(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except DetmonError:
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            raise OperationError(f"the trainer {self._name!r} failed: {what}", BLAME) from error
