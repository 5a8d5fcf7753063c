"""Tests that plugin authors share with detmon: `notifier_contract` checks what the delivery relies on."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TextIO

from detmon.hookspecs import (
    Item,
    Message,
    MissingSetting,
    Notifier,
    NotifierConfig,
    Outcome,
    Permanent,
    Retry,
    Secret,
    SendFailed,
    Sent,
    Target,
)

HOSTILE = "<!channel>&</b>[red];x Bcc: x"
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

    `rest` is an address it accepts, `table` its configuration, `secrets` the names it asks for, `success` what its
    server answers when all is well. No network is used: a notifier that reaches it by `ctx.http` is tried with all
    kinds of answers, any other one with good and hostile messages only.
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
        self.asked = 0

    def hold(self) -> None:
        self._parses()
        sent = self._send(_message())
        assert isinstance(sent, Sent), f"a good message must be Sent, not {sent}"
        size = len(json.dumps(dict(sent.receipt)).encode())
        assert size <= 2048, f"a receipt must be at most 2 kB as JSON, not {size} bytes"
        assert isinstance(self._send(_message(HOSTILE)), Sent), "labels with markup must not stop a message"
        assert isinstance(self._send(_message("x" * 80, 10)), Sent), "a message with ten long labels must be Sent"
        self._misses_secrets()
        if self.asked:
            self._reads_answers()

    def _parses(self) -> None:
        notifier = self._factory(self._config(True))
        target = notifier.parse(self._rest)
        assert isinstance(target, Target), "parse must return a Target"
        assert notifier.parse(self._rest) == target, "parse must be pure: the same text, the same target"
        assert target.scheme, "a target must name its scheme"
        again = notifier.parse(str(target).partition(":")[2])
        assert again == target, "parse must read back what str(target) writes: that is what a rule keeps"

    def _misses_secrets(self) -> None:
        if not self._secrets:
            return
        try:
            outcome = self._send(_message(), with_secrets=False)
        except MissingSetting:
            return
        raise AssertionError(f"without its secret a notifier must raise MissingSetting, not return {outcome}")

    def _reads_answers(self) -> None:
        slow = self._send(_message(), Answer(429, "slow down", {"Retry-After": "7"}))
        assert isinstance(slow, Retry), f"429 must be a Retry, not {slow}"
        assert slow.after == 7, f"429 must wait for Retry-After (7 s), not {slow.after}"
        for status in (500, 503):
            failed = self._send(_message(), Answer(status, "trouble"))
            assert isinstance(failed, Retry), f"{status} must be a Retry, not {failed}"
        for status in (400, 403, 404, 410):
            refused = self._send(_message(), Answer(status, f"no {SECRET}"))
            assert isinstance(refused, Permanent), f"{status} must be Permanent, not {refused}"
        lost = self._send(_message(), SendFailed(Retry("no answer", ambiguous=True)))
        assert isinstance(lost, Retry), f"no answer must be a Retry, not {lost}"
        assert lost.ambiguous, "after no answer the message may have arrived: ambiguous"

    def _config(self, with_secrets: bool) -> NotifierConfig:
        def secret(name: str) -> Secret | None:
            return Secret(SECRET) if with_secrets and name in self._secrets else None

        return NotifierConfig(self._table, secret)

    def _send(self, message: Message, answer: Answer | SendFailed | None = None, with_secrets: bool = True) -> Outcome:
        config = self._config(with_secrets)
        notifier = self._factory(config)
        context = _Context(self, config, answer or self._success)
        try:
            outcome = notifier.send(notifier.parse(self._rest), message, context)
        except SendFailed as failed:
            outcome = failed.outcome
        assert isinstance(outcome, (Sent, Retry, Permanent)), f"send must return an outcome, not {outcome!r}"
        assert isinstance(outcome, Sent) or outcome.reason, "a failure must say why"
        assert not isinstance(outcome, Sent) or SECRET not in repr(outcome), "a receipt must hold no secret"
        return outcome


class _Http:
    """Answers every request with the same answer."""

    def __init__(self, contract: _Contract, answer: Answer | SendFailed) -> None:
        self._contract = contract
        self._answer = answer

    def post(
        self, url: str, *, json: Any = None, data: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        return self._say()

    def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        return self._say()

    def _say(self) -> Answer:
        self._contract.asked += 1
        if isinstance(self._answer, SendFailed):
            raise self._answer
        return self._answer


class _Context:
    def __init__(self, contract: _Contract, config: NotifierConfig, answer: Answer | SendFailed) -> None:
        self.notice_id = "0" * 32
        self.attempt = 1
        self.deadline = time.monotonic() + 10
        self.now = datetime(2026, 11, 20, 10, 5, tzinfo=UTC)
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


def _message(label: str = "cam-3", count: int = 1) -> Message:
    fired = datetime(2026, 11, 20, 10, 5, tzinfo=UTC)
    items = tuple(
        Item(
            alert="Low Confidence Alert",
            alert_id="al_0123456789ab",
            model_id="yolo-prod",
            instance_key=f"{number:032x}",
            episode_id=f"{number:032x}.1",
            kind="firing",
            labels={"source": label},
            metric="avg_confidence",
            operator="lt",
            threshold=0.7,
            window="1h",
            value=0.642,
            n=412,
            fired_at=fired,
            ended_at=None,
            reason=None,
        )
        for number in range(count)
    )
    text = "\n".join(["FIRING  Low Confidence Alert · yolo-prod", *(f"  source={label}   0.642" for _ in items)])
    return Message(
        kind="firing",
        severity="warning",
        title="FIRING · Low Confidence Alert · yolo-prod",
        text=text,
        html="<html><body>FIRING</body></html>",
        items=items,
        omitted=0,
        started_at=fired,
        ended_at=None,
        late_by=None,
        maybe_repeat=False,
        footers=(),
        links={},
        labels={"alertname": "Low Confidence Alert", "model_id": "yolo-prod", "severity": "warning"},
    )
