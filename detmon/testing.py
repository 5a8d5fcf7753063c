"""Tests that plugin authors share with detmon.

`notifier_contract` checks what the delivery relies on, `format_contract` what `ingest` relies on, `trainer_contract`
what training jobs rely on.
"""

from __future__ import annotations

import io
import json
import os
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO, get_args

from detmon import notices
from detmon.errors import DetmonError
from detmon.formats import Source, open_source, registry
from detmon.hookspecs import (
    AnyReader,
    JobStatus,
    Message,
    MissingSetting,
    Notifier,
    NotifierConfig,
    Outcome,
    Permanent,
    Poll,
    Problem,
    Retry,
    Secret,
    SendFailed,
    Sent,
    Target,
    TrainedModel,
    Trainer,
    TrainerConfig,
    TrainingTask,
)
from detmon.ingest import sources
from detmon.notify import messages

HOSTILE = "<!channel>&</b>[red]\x1b]0;x\r\nBcc: x" + "y" * 10_000
NOW = datetime(2026, 11, 20, 10, 5, tzinfo=UTC)
NOTICE_ID = "0123456789abcdef" * 2
SECRET = "contract-secret-4711"  # noqa: S105 (what must not show up)


@dataclass
class Answer:
    """What the contract's server answers."""

    status_code: int = 200
    text: str = "ok"
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """The body as JSON; raises ValueError when it is none."""
        return json.loads(self.text)


def notifier_contract(
    factory: Callable[[NotifierConfig], Notifier],
    *,
    rest: str,
    table: Mapping[str, Any] | None = None,
    secrets: tuple[str, ...] = (),
    success: Answer | None = None,
) -> None:
    """Raise AssertionError with a sentence for the first rule that a notifier breaks.

    `rest` is an address it accepts, `table` its table of the configuration, `secrets` the names it asks for (keys,
    variables or references), `success` what its server answers when all is well. A notifier that reaches the network
    by `ctx.http` is tried with all kinds of answers and needs no server; any other one reaches what it is configured
    for, and is tried with good and hostile messages only.
    """
    _Contract(factory, rest, table or {}, secrets, success or Answer()).hold()


class _Contract:
    def __init__(
        self,
        factory: Callable[[NotifierConfig], Notifier],
        rest: str,
        table: Mapping[str, Any],
        secrets: tuple[str, ...],
        success: Answer,
    ) -> None:
        self._factory = factory
        self._rest = rest
        self._table = table
        self._secrets = secrets
        self._success = success
        self.requests: list[Mapping[str, Any]] = []
        """Those of the last send."""

    def hold(self) -> None:
        self._parses()
        self._checks()
        self._delivers()
        self._withstands()
        self._repeats()
        self._previews()
        self._misses_secrets()
        if self._asks():
            self._reads_answers()

    # --- the rules ---

    def _parses(self) -> None:
        notifier = self._factory(self._config(True))
        target = notifier.parse(self._rest)
        assert isinstance(target, Target), "parse must return a Target"
        assert notifier.parse(self._rest) == target, "parse must be pure: the same text, the same target"
        assert target.scheme, "a target must name its scheme"
        assert SECRET not in repr(target), "a target must hold no secret: it is stored and shown"
        again = notifier.parse(str(target).partition(":")[2])
        assert again == target, "parse must read back what str(target) writes: that is what a rule keeps"

    def _checks(self) -> None:
        self.requests.clear()
        for with_secrets in (True, False):
            notifier = self._factory(self._config(with_secrets))
            found = notifier.check(notifier.parse(self._rest), online=False)
            assert all(isinstance(one, Problem) for one in found), "check must return a list of Problem"
            assert SECRET not in repr(found), "check must show no secret"
        assert not self.requests, "check must ask no server unless it is online"

    def _delivers(self) -> None:
        for kind in ("firing", "reminder", "refresh", "resolved", "missed", "no_data", "digest"):
            sent = self._send(self._message(kind))
            assert isinstance(sent, Sent), f"a good message ({kind}) must be Sent, not {sent}"
            size = len(json.dumps(dict(sent.receipt)).encode())
            assert size <= 2048, f"a receipt must be at most 2 kB as JSON, not {size} bytes"

    def _withstands(self) -> None:
        """Injection and limits."""
        hostile = self._send(self._message(source=HOSTILE))
        assert isinstance(hostile, Sent), "labels with markup must not stop a message"
        for request in self.requests:
            for name, value in (request["headers"] or {}).items():
                assert f"{name}{value}".isprintable(), f"the header {name} must be one line of printable characters"
        assert isinstance(self._send(self._message(source="x" * 80, count=40)), Sent), "forty long labels must be Sent"
        message, most = self._message(), self._factory(self._config(True)).capabilities.max_chars
        longest = replace(message, text="ä" * min(most, 200_000), title="ä" * 400)
        assert isinstance(self._send(longest), Sent), f"a text of max_chars ({most}) characters must be Sent"

    def _repeats(self) -> None:
        first, one = self._send(self._message()), self._asked_with_id()
        second, other = self._send(self._message(maybe_repeat=True), attempt=2), self._asked_with_id()
        assert one == other, "a repeat must carry the notice's id where the first attempt did"
        assert first == second, "a repeat that is answered alike must give the same receipt: no id of its own"

    def _previews(self) -> None:
        for with_secrets in (True, False):
            notifier = self._factory(config := self._config(with_secrets))
            target = notifier.parse(self._rest)
            shown = notifier.preview(target, self._message(), _Context(self, self._narrowed(config), self._success))
            assert SECRET not in shown, "preview must show no secret: people paste it"

    def _misses_secrets(self) -> None:
        if not self._secrets:
            return
        try:
            outcome = self._send(self._message(), with_secrets=False)
        except MissingSetting:
            return
        raise AssertionError(f"without its secret a notifier must raise MissingSetting, not return {outcome}")

    def _asks(self) -> bool:
        """Whether a message goes through `ctx.http`."""
        self._send(self._message())
        return bool(self.requests)

    def _reads_answers(self) -> None:
        slow = self._send(self._message(), Answer(429, "slow down", {"Retry-After": "7"}))
        assert isinstance(slow, Retry), f"429 must be a Retry, not {slow}"
        assert slow.after == 7, f"429 must wait for Retry-After (7 s), not {slow.after}"
        for status in (500, 502, 503, 504):
            failed = self._send(self._message(), Answer(status, "trouble"))
            assert isinstance(failed, Retry), f"{status} must be a Retry, not {failed}"
        for status in (400, 403, 404, 410):
            refused = self._send(self._message(), Answer(status, "no"))
            assert isinstance(refused, Permanent), f"{status} must be Permanent, not {refused}"
        lost = self._send(self._message(), SendFailed(Retry("no answer", ambiguous=True)))
        assert isinstance(lost, Retry), f"no answer must be a Retry, not {lost}"
        assert lost.ambiguous, "after no answer the message may have arrived: ambiguous"

    # --- how they are tried ---

    def _config(self, with_secrets: bool) -> NotifierConfig:
        def secret(name: str) -> Secret | None:
            return Secret(SECRET) if with_secrets and name in self._secrets else None

        return NotifierConfig(self._table, secret, http=_Http(self, self._success))

    def _narrowed(self, config: NotifierConfig) -> NotifierConfig:
        """The target's own table, where it has one."""
        return config.named(self._rest) if isinstance(self._table.get(self._rest), Mapping) else config

    def _message(
        self, kind: str = "firing", *, source: str = "cam-3", count: int = 1, maybe_repeat: bool = False
    ) -> Message:
        most = self._factory(self._config(True)).capabilities.max_chars
        about = messages.Circumstances(max_chars=most, maybe_repeat=maybe_repeat)
        return messages.compose(notices.sample(f"test:{self._rest}", kind, NOW, source=source, count=count), about)

    def _send(
        self,
        message: Message,
        answer: Answer | SendFailed | None = None,
        *,
        with_secrets: bool = True,
        attempt: int = 1,
    ) -> Outcome:
        config = self._config(with_secrets)
        notifier = self._factory(config)
        context = _Context(self, self._narrowed(config), answer or self._success, attempt)
        self.requests.clear()
        try:
            outcome = notifier.send(notifier.parse(self._rest), message, context)
        except SendFailed as failed:
            outcome = failed.outcome
        assert isinstance(outcome, (Sent, Retry, Permanent)), f"send must return an outcome, not {outcome!r}"
        assert isinstance(outcome, Sent) or outcome.reason, "a failure must say why"
        assert SECRET not in repr(outcome), "an outcome must hold no secret: it is stored and shown"
        return outcome

    def _asked_with_id(self) -> list[bool]:
        """Which requests of the last send carry the notice's id."""
        return [NOTICE_ID in repr(request) for request in self.requests]


class _Http:
    """Answers every request with the same answer."""

    def __init__(self, contract: _Contract, answer: Answer | SendFailed) -> None:
        self._contract = contract
        self._answer = answer

    def post(
        self, url: str, *, json: Any = None, data: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        return self._say(url, json, data, headers)

    def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        return self._say(url, None, None, headers)

    def _say(self, url: str, json: Any, data: bytes | None, headers: Mapping[str, str] | None) -> Answer:
        self._contract.requests.append({"url": url, "json": json, "data": data, "headers": headers})
        if isinstance(self._answer, SendFailed):
            raise self._answer
        return self._answer


class _Context:
    def __init__(
        self, contract: _Contract, config: NotifierConfig, answer: Answer | SendFailed, attempt: int = 1
    ) -> None:
        self.notice_id = NOTICE_ID
        self.attempt = attempt
        self.deadline = time.monotonic() + 10
        self.now = NOW
        self.receipt: Mapping[str, str] | None = None
        self.http = _Http(contract, answer)
        self.config = config.table
        self.console: TextIO = io.StringIO()
        self._config = config

    def secret(self, name: str) -> Secret:
        found = self._config.secret(name)
        if found is None:
            raise MissingSetting(f"{name} is not set")
        return found


def format_contract(reader: AnyReader, sample: bytes, *, name: str = "sample.log", **options: Any) -> None:
    """Raise AssertionError with a sentence for the first rule that a reader of a log format breaks.

    `sample` is a good log called `name`, `options` are those of `ingest` that it needs (`model="m"`). The reader must
    recognise it, and nothing that other logs begin with; every record must be stored, also from a stream and a second
    time; a damaged log must end in records, rejects or an error of detmon.
    """
    records = _records(reader, sample, name, options)
    assert records is not None, "an error of detmon for the good log"
    assert records, "no record of the good log is stored"
    assert records == _records(reader, sample, name, options), "a second log is read in another way than the first"
    (made,) = registry.readers_of("contract", {"contract": (reader,)})
    for other in (b"", b"\n", b"\x00\xff" * 50, b"PAR1", b'{"image_id": "a", "detections": []}\n', b"image_id,label\n"):
        assert made.sniff(other, "other.log") is None, f"it takes {other[:20]!r} for its own"
    step = max(1, len(sample) // 40)
    for place in range(step, len(sample), step):
        _records(reader, sample[:place], name, options)
        _records(reader, sample[:place] + b"\xff\x00\n" + sample[place + 3 :], name, options)


def _records(reader: AnyReader, content: bytes, name: str, given: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """What would be stored of a log; None when detmon has an error to tell."""
    source = Source(name, stream=io.BytesIO(content))
    options = replace(sources.settings(given, {}, source).options, log_format="contract")
    found: list[dict[str, Any]] = []
    try:
        reading = open_source(source, options, now=NOW.replace(tzinfo=None), readers={"contract": (reader,)})
        for part in reading.parts():
            part.table.validate(full=True)
            rows = part.table.num_rows + len(part.rejects)
            assert rows == part.read, "records that are neither stored nor rejected"
            found += part.table.to_pylist()
    except DetmonError as error:
        if getattr(error, "code", None) == "reader_failed":
            raise AssertionError(error.message) from error
        return None
    return found


def trainer_contract(
    factory: Callable[[TrainerConfig], Trainer],
    *,
    table: Mapping[str, Any],
    lasting: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    patience: float = 60.0,
) -> None:
    """Raise AssertionError with a sentence for the first rule that a trainer breaks.

    With `table` (`[training]` of the configuration) a training must succeed within `patience` seconds, with `lasting`
    run until it is cancelled. `environment` and `secrets` are the variables it needs. A handle must be all that it
    takes to go on with a training, in any process.
    """
    with TemporaryDirectory(prefix="detmon 'contract' {x} ") as folder:
        for number, given in enumerate((table, lasting)):
            if given is not None:
                config = _trainer_config(given, Path(folder), environment, secrets)
                task = _training_task(Path(folder), number)
                _TrainerContract(factory, config, task, patience).hold(lasts=bool(number))


class _TrainerContract:
    def __init__(
        self, factory: Callable[[TrainerConfig], Trainer], config: TrainerConfig, task: TrainingTask, patience: float
    ) -> None:
        self._factory = factory
        self._config = config
        self._task = task
        self._patience = patience

    def hold(self, *, lasts: bool) -> None:
        plan = self._trainer().plan(self._task)
        assert all(isinstance(word, str) for word in plan), "plan must return words: what start would run"
        assert self._trainer().find(self._task) is None, "find must know no task that was not started"
        handle = self._trainer().start(self._task)
        assert isinstance(handle, str), "start must return a handle, which is text"
        assert handle, "a handle must not be empty"
        again = self._trainer().find(self._task) or handle
        if lasts:
            assert self._poll(handle).status in ("queued", "running"), "a training that lasts must be queued or running"
            self._trainer().cancel(handle)
        found = self._ended(handle)
        assert found.status == ("cancelled" if lasts else "succeeded"), f"the training ended as {found}"
        assert lasts or found.exit_code in (0, None), "one that succeeded must have exit code 0, or none"
        assert isinstance(self._trainer().log(handle), str), "log must return text"
        self._trainer().cancel(handle)
        assert self._poll(handle) == found, "what is over must stay as it is, also when it is cancelled"
        assert self._poll(again) == found, "find must return a handle of the task that was started"
        for wrong in ("", "no handle"):
            self._refuses(wrong)

    def _trainer(self) -> Trainer:
        """A new one each time: nothing but the handle connects two calls."""
        return self._factory(self._config)

    def _poll(self, handle: str) -> Poll:
        answer = self._trainer().poll(handle)
        assert isinstance(answer, tuple), "poll must return status, exit code and model, or a Poll"
        assert 3 <= len(answer) <= len(Poll._fields), "poll must return status, exit code and model, or a Poll"
        found = Poll(*answer)
        assert found.status in get_args(JobStatus), f"poll must return a status, not {found.status!r}"
        assert found.model is None or isinstance(found.model, TrainedModel), "the model must be a TrainedModel"
        return found

    def _ended(self, handle: str) -> Poll:
        give_up = time.monotonic() + self._patience
        while (found := self._poll(handle)).status in ("queued", "running"):
            assert time.monotonic() < give_up, f"the training has not ended within {self._patience:g} s"
            time.sleep(min(self._trainer().pause_s, 1.0))
        return found

    def _refuses(self, handle: str) -> None:
        try:
            self._trainer().poll(handle)
        except DetmonError:
            return
        raise AssertionError(f"poll must raise an error of detmon for {handle!r}, which is no handle")


def _trainer_config(
    table: Mapping[str, Any], folder: Path, environment: Mapping[str, str] | None, secrets: Mapping[str, str] | None
) -> TrainerConfig:
    def secret(name: str) -> Secret | None:
        found = (secrets or {}).get(name.removeprefix("env:"))
        return Secret(found) if found else None

    return TrainerConfig(table, folder, environment if environment is not None else dict(os.environ), secret)


def _training_task(folder: Path, number: int) -> TrainingTask:
    """A task whose dataset is one small image with one box."""
    work, output = folder / f"{number}.job", folder / f"{number}"
    dataset = work / "dataset"
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (dataset / kind / split).mkdir(parents=True)
        (dataset / "images" / split / "a.png").write_bytes(b64decode(PIXEL))
        (dataset / "labels" / split / "a.txt").write_text("0 0.5 0.5 1 1\n")
    (dataset / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/val\nnames: {0: car}\n")
    output.mkdir()
    return TrainingTask(
        id=f"tj_{os.urandom(6).hex()}",
        name="contract 'of' {trainers}; $(x)",
        dataset=dataset,
        output=output,
        work=work,
        version_id="dv_0123456789ab",
        digest="0" * 64,
        base_model="s3://models/contract.pt",
        timeout=timedelta(hours=1),
    )


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
"""A PNG of one pixel."""
