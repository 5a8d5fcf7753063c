"""Notices in Slack: `slack:#channel` with a bot token (threads, updates) or through an incoming webhook."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from detmon.errors import TargetError
from detmon.hookspecs import (
    CRON,
    DEFAULT_PAUSE,
    Capabilities,
    Message,
    MissingSetting,
    Notifier,
    Outcome,
    Permanent,
    Problem,
    RegisterNotifier,
    Response,
    Retry,
    Secret,
    SendContext,
    SendFailed,
    Sent,
    Target,
    hookimpl,
    retry_after,
)
from detmon_slack import layout

API = "https://slack.com/api/"
_CHANNEL = re.compile(r"#[^\s#@<>&,:]{1,80}|[CGD][A-Z0-9]{2,20}|@[UW][A-Z0-9]{2,20}")
_TRY_PLAIN = ("invalid_blocks", "invalid_blocks_format", "invalid_payload")
_TRY_SHORT = ("msg_blocks_too_long", "msg_too_long")
_LATER = ("ratelimited", "rate_limited", "service_unavailable", "message_limit_exceeded", "team_added_to_org")
_NO_THREAD = ("cannot_reply_to_message", "message_not_found", "thread_not_found", "restricted_action_thread_locked")
_UNKNOWN_FATE = ("internal_error", "fatal_error", "request_timeout")
_HINTS = {
    "channel_not_found": "check the channel's name; a private one needs /invite @bot",
    "not_in_channel": "/invite @bot in the channel, or give the bot the scope chat:write.public",
    "is_archived": "the channel is archived: name another",
    "channel_is_archived": "the channel is archived: name another",
    "invalid_auth": "see SLACK_BOT_TOKEN",
    "not_authed": "see SLACK_BOT_TOKEN",
    "account_inactive": "the bot was removed: make a new token",
    "token_revoked": "make a new token",
    "missing_scope": "the bot needs the scope chat:write",
    "action_prohibited": "a workspace rule forbids it: ask its admin",
    "invalid_token": "make a new webhook",
    "no_service": "the webhook was removed: make a new one",
}


class Slack(Notifier):
    """One channel of a workspace."""

    scheme = "slack"
    capabilities = Capabilities(
        max_chars=8_000,
        rate_per_s=1.0,
        secrets=("token", "SLACK_BOT_TOKEN", "webhook", "SLACK_WEBHOOK_URL"),
    )

    def parse(self, rest: str) -> Target:
        if rest.startswith(("http://", "https://", "//")):
            raise TargetError(
                "a webhook's address is a secret and does not belong in a target",
                "set SLACK_WEBHOOK_URL and write slack:#channel",
            )
        if not _CHANNEL.fullmatch(rest):
            raise TargetError(
                f"'slack:{rest}' names no channel", "write slack:#channel, a channel's id, or slack:@USERID"
            )
        return Target(self.scheme, rest, rest.removeprefix("@"))

    def check(self, target: Target, *, online: bool) -> list[Problem]:
        token, webhook = self._credentials(target)
        if token is not None:
            return self._check_token(token) if online else []
        if webhook is None:
            return [Problem("error" if online else "warning", self._missing(target))]
        if target.rest in self._table.get("webhooks", {}):
            return []
        return [Problem("warning", f"a webhook posts to its own channel, which may not be {target.rest}")]

    def send(self, target: Target, message: Message, ctx: SendContext) -> Outcome:
        token, webhook = self._credentials(target)
        if token is not None:
            return self._with_token(token, target, message, ctx)
        if webhook is None:
            raise MissingSetting(self._missing(target))
        return _in_forms(message, lambda form: _webhook_outcome(ctx.http.post(webhook.reveal(), json=form), ctx.now))

    def preview(self, target: Target, message: Message, ctx: SendContext) -> str:
        import json

        form = layout.rich(message) | ({"channel": target.address} if self._credentials(target)[0] else {})
        return json.dumps(form, ensure_ascii=False, indent=2)

    # --- settings ---

    @property
    def _table(self) -> Mapping[str, Any]:
        return self.config.table if self.config else {}

    def _credentials(self, target: Target) -> tuple[Secret | None, Secret | None]:
        """The bot token, else the webhook of this channel, else the only webhook there is."""
        assert self.config is not None
        secret = self.config.secret
        token = secret("token") or secret("SLACK_BOT_TOKEN")
        if token is not None:
            return token, None
        own = self._table.get("webhooks", {}).get(target.rest)
        if own is not None:
            return None, secret(str(own))
        return None, secret("webhook") or secret("SLACK_WEBHOOK_URL")

    def _missing(self, target: Target) -> str:
        assert self.config is not None
        lacking = self.config.unresolved("token", "webhook")
        own = self._table.get("webhooks", {}).get(target.rest)
        if own is not None:
            lacking = f"webhooks: {target.rest} = {own!r} is not set or not readable here ({CRON})"
        return (
            f"[notify.slack] {lacking}" if lacking else f"neither SLACK_BOT_TOKEN nor SLACK_WEBHOOK_URL is set ({CRON})"
        )

    def _api(self, method: str) -> str:
        assert self.config is not None
        base = self._table.get("api_url") or self.config.setting("SLACK_API_URL") or API
        return f"{str(base).rstrip('/')}/{method}"

    def _check_token(self, token: Secret) -> list[Problem]:
        assert self.config is not None
        assert self.config.http is not None
        try:
            answer = self.config.http.post(self._api("auth.test"), headers=_headers(token))
            outcome = _api_outcome(answer, datetime.now(UTC))
        except SendFailed as failed:
            outcome = failed.outcome
        if isinstance(outcome, Sent):
            return []
        if isinstance(outcome, Permanent):
            return [Problem("error", f"the bot token does not work: {outcome.reason}", outcome.hint)]
        return [Problem("warning", f"Slack could not be asked: {outcome.reason}")]

    # --- with a token ---

    def _with_token(self, token: Secret, target: Target, message: Message, ctx: SendContext) -> Outcome:
        place: dict[str, Any] = {"channel": target.address}
        parent = dict(ctx.receipt or {})
        if "ts" in parent and "channel" in parent:
            place = {"channel": parent["channel"], "thread_ts": parent["ts"]}
            if not layout.is_over(message):
                place["reply_broadcast"] = True  # what still fires must not hide in a thread
        outcome = _in_forms(message, lambda form: self._call("chat.postMessage", token, form | place, ctx))
        if isinstance(outcome, Permanent) and outcome.reason in _NO_THREAD and "thread_ts" in place:
            place = {"channel": parent["channel"]}  # somebody has deleted or locked the thread
            outcome = _in_forms(message, lambda form: self._call("chat.postMessage", token, form | place, ctx))
        if not isinstance(outcome, Sent):
            return outcome
        if layout.is_over(message) and "thread_ts" in place and layout.covers(message, parent):
            self._update(token, message, parent, ctx)
        return Sent({**outcome.receipt, **layout.remembered(message)})

    def _update(self, token: Secret, message: Message, parent: Mapping[str, str], ctx: SendContext) -> None:
        """Turn the parent green; that the reply was posted is what counts, so a failure is nobody's news."""
        form = layout.rich(message) | {"channel": parent["channel"], "ts": parent["ts"]}
        try:
            self._call("chat.update", token, form, ctx)
        except SendFailed:
            return

    def _call(self, method: str, token: Secret, form: Mapping[str, Any], ctx: SendContext) -> Outcome:
        answer = ctx.http.post(self._api(method), json=dict(form), headers=_headers(token))
        return _api_outcome(answer, ctx.now)


def _headers(token: Secret) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.reveal()}", "Content-Type": "application/json; charset=utf-8"}


def _in_forms(message: Message, post: Callable[[dict[str, Any]], Outcome]) -> Outcome:
    """Post the rich form; where Slack refuses its form, the plain or the short one, once."""
    outcome = post(layout.rich(message))
    if isinstance(outcome, Permanent) and outcome.reason in _TRY_PLAIN:
        outcome = post(layout.plain(message))
    elif isinstance(outcome, Permanent) and outcome.reason in _TRY_SHORT:
        outcome = post(layout.short(message))
    return outcome


def _api_outcome(answer: Response, now: datetime) -> Outcome:
    """What an answer of the Web API means; HTTP 200 alone is no success."""
    if answer.status_code != 200:
        return _http_outcome(answer, now)
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or "ok" not in body:
        return Retry("the answer is not Slack's", ambiguous=True)
    if body["ok"] is True:
        return Sent({key: str(body[key]) for key in ("channel", "ts") if body.get(key)})
    word = str(body.get("error", "unknown_error"))
    if word in _LATER:
        return Retry(word, after=retry_after(answer, now))
    if word in _UNKNOWN_FATE:
        return Retry(word, ambiguous=True)
    return Permanent(word, _HINTS.get(word))


def _webhook_outcome(answer: Response, now: datetime) -> Outcome:
    """What an answer of a webhook means: only 200 with the body `ok` is success."""
    if answer.status_code != 200:
        return _http_outcome(answer, now)
    return Sent() if answer.text.strip() == "ok" else Retry("the answer is not Slack's", ambiguous=True)


def _http_outcome(answer: Response, now: datetime) -> Retry | Permanent:
    status = answer.status_code
    said = answer.text.strip()
    word = said if re.fullmatch(r"[a-z_]{2,60}", said) else ""
    if status == 429:
        return Retry(word or "429 too many requests", after=retry_after(answer, now) or DEFAULT_PAUSE)
    if status >= 500:
        doubtful = status in (502, 504)
        return Retry(word or f"Slack answered {status}", ambiguous=doubtful, soon=not doubtful)
    if status >= 400:
        return Permanent(word or f"Slack answered {status}", _HINTS.get(word))
    return Retry(f"answered {status}: a proxy, not Slack?")


@hookimpl
def detmon_register_notifiers(register: RegisterNotifier) -> None:
    register("slack", Slack)
