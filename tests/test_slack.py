"""Slack, against a server on this machine that keeps its rules; Slack's own client keeps the server honest."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Shell
from outbox_help import NOON, item, later, notice, queue, stored
from slack_server import TOKEN, SlackServer, running

HOSTILE = "<!channel>&</b>[red]\x1b]0;x\r\nBcc: x"
RESPONSES: dict[str, list[list[Any]]] = {
    "slack_429_retry_after": [[429, {"Retry-After": "30"}, ""], [200, {}, "ok"]],
    "slack_429_blocks_the_whole_channel": [[429, {"Retry-After": "30"}, ""]],
    "webhook_400_invalid_payload": [[400, {}, "invalid_payload"]],
    "webhook_404_channel_not_found": [[404, {}, "channel_not_found"]],
    "webhook_500_rollup_error": [[500, {}, "rollup_error"], [200, {}, "ok"]],
    "postmessage_ok_false_ratelimited": [[200, {}, '{"ok": false, "error": "ratelimited"}']],
    "postmessage_ok_false_internal_error": [[200, {}, '{"ok": false, "error": "internal_error"}']],
    "postmessage_ok_false_not_in_channel": [[200, {}, '{"ok": false, "error": "not_in_channel"}']],
    "postmessage_ok_false_msg_blocks_too_long": [[200, {}, '{"ok": false, "error": "msg_blocks_too_long"}']],
}
"""What the server answers in the rows of the test vectors."""


@pytest.fixture
def slack(detmon: Shell) -> Iterator[SlackServer]:
    with running() as server:
        detmon.monkeypatch.setenv("SLACK_API_URL", server.api)
        yield server


@pytest.fixture
def token(detmon: Shell, slack: SlackServer) -> SlackServer:
    detmon.monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
    return slack


@pytest.fixture
def webhook(detmon: Shell, slack: SlackServer) -> SlackServer:
    detmon.monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.webhook())
    return slack


def answers(server: SlackServer, name: str) -> None:
    server.answers.extend(tuple(answer) for answer in RESPONSES[name])


def test_the_vectors_have_the_same_answers(vectors: Callable[[str], Any]) -> None:
    rows = [row for row in vectors("alerts.json") if row["kind"] == "delivery" and row["target"] == "slack"]
    assert {row["name"]: row["responses"] for row in rows if "responses" in row} == RESPONSES


# --- the server itself -------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:The top-level")
def test_slacks_own_web_client_agrees_with_the_server(slack: SlackServer) -> None:
    from slack_sdk import WebClient
    from slack_sdk.errors import SlackApiError

    client = WebClient(token=TOKEN, base_url=slack.api)
    assert client.auth_test()["ok"]
    posted = client.chat_postMessage(channel="#ml-alerts", text="hello")
    assert (posted["ok"], posted["channel"]) == (True, "C0ML")
    assert client.chat_update(channel="C0ML", ts=posted["ts"], text="bye")["ok"]
    for wrong, word in (({"channel": "#none", "text": "x"}, "channel_not_found"), ({"channel": "C0ML"}, "no_text")):
        with pytest.raises(SlackApiError) as caught:
            client.chat_postMessage(**wrong)
        assert caught.value.response["error"] == word
    with pytest.raises(SlackApiError) as caught:
        client.chat_postMessage(channel="#ml-alerts", text="too fast")
    assert (caught.value.response.status_code, caught.value.response.headers["Retry-After"]) == (429, "1")
    with pytest.raises(SlackApiError, match="invalid_auth"):
        WebClient(token="xoxb-bad", base_url=slack.api).auth_test()


def test_slacks_own_webhook_client_agrees_with_the_server(slack: SlackServer) -> None:
    from slack_sdk.webhook import WebhookClient

    sent = WebhookClient(slack.webhook()).send(text="hello")
    assert (sent.status_code, sent.body) == (200, "ok")
    gone = WebhookClient(slack.webhook("gone")).send(text="hello")
    assert (gone.status_code, gone.body) == (404, "no_service")


# --- messages ----------------------------------------------------------------------------------------------------


def test_a_firing_and_its_resolve_are_one_thread(detmon: Shell, token: SlackServer) -> None:
    queue(detmon.folder, notice("slack:#ml-alerts", item("firing")))
    detmon("--now", NOON, "notify", "send")
    (first,) = token.shown
    assert first["blocks"][0]["text"]["text"] == "🔴 FIRING · Low Confidence Alert · yolo-prod"
    assert first["text"]
    assert (first["parse"], first["link_names"], first["unfurl_links"]) == ("none", False, False)
    token.last_post.clear()
    queue(detmon.folder, notice("slack:#ml-alerts", item("resolved"), slot="10:35"))
    detmon("--now", later(NOON, minutes=5), "notify", "send")
    assert token.shown[1]["thread_ts"] == first["ts"]
    (update,) = token.updates
    assert (update["channel"], update["ts"]) == ("C0ML", first["ts"])
    assert update["blocks"][0]["text"]["text"].startswith("🟢 RESOLVED")


def test_a_thread_that_is_gone_takes_no_resolve_with_it(detmon: Shell, token: SlackServer) -> None:
    queue(detmon.folder, notice("slack:#ml-alerts", item("firing")))
    detmon("--now", NOON, "notify", "send")
    token.last_post.clear()
    token.answers.append((200, {}, '{"ok": false, "error": "thread_not_found"}'))
    queue(detmon.folder, notice("slack:#ml-alerts", item("resolved"), slot="10:35"))
    assert detmon("--now", later(NOON, minutes=5), "notify", "send", "--json").json["sent"] == 1
    assert ("thread_ts" in token.posts[1]["payload"], "thread_ts" in token.shown[1]) == (True, False)
    assert token.updates == []


def test_a_resolve_of_some_does_not_turn_the_parent_green(detmon: Shell, token: SlackServer) -> None:
    queue(detmon.folder, notice("slack:#ml-alerts", item("firing"), item("firing", number=2)))
    detmon("--now", NOON, "notify", "send")
    token.last_post.clear()
    queue(detmon.folder, notice("slack:#ml-alerts", item("resolved"), slot="10:35"))
    detmon("--now", later(NOON, minutes=5), "notify", "send")
    assert "thread_ts" in token.shown[1]
    assert token.updates == []


def test_a_webhook_gets_two_messages(detmon: Shell, webhook: SlackServer) -> None:
    queue(detmon.folder, notice("slack:#ml-alerts", item("firing")))
    detmon("--now", NOON, "notify", "send")
    webhook.last_post.clear()
    queue(detmon.folder, notice("slack:#ml-alerts", item("resolved"), slot="10:35"))
    detmon("--now", later(NOON, minutes=5), "notify", "send")
    assert ["thread_ts" in post for post in webhook.shown] == [False, False]


def test_each_channel_its_own_webhook(detmon: Shell, slack: SlackServer) -> None:
    (detmon.folder / "detmon.toml").write_text('[notify.slack]\nwebhooks = { "#other" = "env:OTHER_HOOK" }\n')
    detmon.monkeypatch.setenv("OTHER_HOOK", slack.webhook("other"))
    queue(detmon.folder, notice("slack:#other"))
    detmon("--now", NOON, "notify", "send")
    assert slack.posts[0]["path"].endswith("/other")


@pytest.mark.parametrize("hostile", [HOSTILE, "x" * 10_000])
def test_hostile_labels_stay_text(detmon: Shell, token: SlackServer, hostile: str) -> None:
    many = [item(number=number, labels={"source": hostile}) for number in range(40)]
    queue(detmon.folder, notice("slack:#ml-alerts", *many))
    detmon("--now", NOON, "notify", "send")
    text = json.dumps(token.shown[0], ensure_ascii=False)
    assert len(token.posts) == 1  # the first form was good
    assert "<!channel>" not in text
    assert "\\u001b" not in text
    assert "and 30 more" in text


def test_a_token_file_and_a_base_without_a_slash(detmon: Shell, slack: SlackServer) -> None:
    (detmon.folder / "token").write_text(TOKEN + "\n")
    detmon.monkeypatch.setenv("SLACK_BOT_TOKEN_FILE", str(detmon.folder / "token"))
    detmon.monkeypatch.setenv("SLACK_API_URL", slack.api.rstrip("/"))
    queue(detmon.folder, notice("slack:#ml-alerts"))
    assert detmon("--now", NOON, "notify", "send", "--json").json["sent"] == 1


# --- what the server answers -------------------------------------------------------------------------------------


def test_429_pauses_the_whole_channel(detmon: Shell, webhook: SlackServer) -> None:
    answers(webhook, "slack_429_blocks_the_whole_channel")
    queue(detmon.folder, *(notice("slack:#ml-alerts", item(alert=f"A{number}")) for number in range(5)))
    delivery = detmon("--now", NOON, "notify", "send", "--json").json
    assert (delivery["sent"], delivery["queued"], len(webhook.posts)) == (0, 5, 1)
    detmon("--now", later(NOON, seconds=20), "notify", "send")
    assert len(webhook.posts) == 1


def test_429_is_delivered_after_retry_after(detmon: Shell, webhook: SlackServer) -> None:
    answers(webhook, "slack_429_retry_after")
    queue(detmon.folder, notice("slack:#ml-alerts"))
    detmon("--now", NOON, "notify", "send")
    (row,) = detmon("notify", "list", "--json").json
    assert row["status"] == "queued"
    assert row["not_before"] >= later(NOON, seconds=30)
    detmon("--now", row["not_before"], "notify", "send")
    assert detmon("notify", "list", "--json").json[0]["status"] == "sent"


def test_an_http_date_in_retry_after(detmon: Shell, webhook: SlackServer) -> None:
    webhook.answers.append((429, {"Retry-After": "Fri, 20 Nov 2026 12:10:00 GMT"}, ""))
    queue(detmon.folder, notice("slack:#ml-alerts"))
    detmon("--now", NOON, "notify", "send")
    (row,) = detmon("notify", "list", "--json").json
    assert "2026-11-20T12:10:00" <= row["not_before"] < "2026-11-20T12:10:05"


def test_invalid_payload_is_tried_once_as_plain_text(detmon: Shell, webhook: SlackServer) -> None:
    answers(webhook, "webhook_400_invalid_payload")
    queue(detmon.folder, notice("slack:#ml-alerts"))
    assert detmon("--now", NOON, "notify", "send", "--json").json["sent"] == 1
    assert ["blocks" in post["payload"] for post in webhook.posts] == [True, False]
    assert detmon("notify", "list", "--json").json[0]["attempts"] == 1


def test_invalid_payload_twice_is_dead(detmon: Shell, webhook: SlackServer) -> None:
    webhook.answers.extend([(400, {}, "invalid_payload")] * 2)
    queue(detmon.folder, notice("slack:#ml-alerts"))
    failed = detmon("--now", NOON, "notify", "send", "--json", code=4)
    assert (failed.json["dead"], len(webhook.posts)) == (1, 2)


def test_channel_not_found_is_dead_at_once(detmon: Shell, webhook: SlackServer) -> None:
    answers(webhook, "webhook_404_channel_not_found")
    queue(detmon.folder, notice("slack:#ml-alerts", item(alert="A")), notice("slack:#ml-alerts", item(alert="B")))
    failed = detmon("--now", NOON, "notify", "send", code=4)
    assert "slack:#ml-alerts: channel_not_found (check the channel's name" in failed.err
    assert len(webhook.shown) == 1  # the next rows of the target are tried


def test_a_500_is_tried_again_in_the_same_run(detmon: Shell, webhook: SlackServer) -> None:
    answers(webhook, "webhook_500_rollup_error")
    queue(detmon.folder, notice("slack:#ml-alerts"))
    assert detmon("--now", NOON, "notify", "send", "--json").json["sent"] == 1
    assert len(webhook.posts) == 2


@pytest.mark.parametrize(
    ("name", "status", "ambiguous", "hint"),
    [
        ("postmessage_ok_false_ratelimited", "queued", False, ""),
        ("postmessage_ok_false_internal_error", "queued", True, ""),
        ("postmessage_ok_false_not_in_channel", "dead", False, "/invite @bot"),
    ],
)
def test_http_200_alone_is_no_success(
    detmon: Shell, token: SlackServer, name: str, status: str, ambiguous: bool, hint: str
) -> None:
    answers(token, name)
    queue(detmon.folder, notice("slack:#ml-alerts"))
    result = detmon("--now", NOON, "notify", "send", code=4 if status == "dead" else 0)
    (row,) = detmon("notify", "list", "--json").json
    assert (row["status"], row["ambiguous"], len(token.posts)) == (status, ambiguous, 1)
    assert hint in result.err


def test_too_long_blocks_become_the_short_form(detmon: Shell, token: SlackServer) -> None:
    answers(token, "postmessage_ok_false_msg_blocks_too_long")
    queue(detmon.folder, notice("slack:#ml-alerts"))
    assert detmon("--now", NOON, "notify", "send", "--json").json["sent"] == 1
    assert "blocks" not in token.shown[0]
    assert len(token.posts) == 2


def test_an_answer_that_does_not_come_is_unknown(detmon: Shell, token: SlackServer) -> None:
    import threading

    token.hold = threading.Event()
    detmon.monkeypatch.setattr("detmon_slack.Slack.capabilities", _impatient())
    queue(detmon.folder, notice("slack:#ml-alerts"))
    detmon("--now", NOON, "notify", "send")
    token.hold.set()
    (row,) = detmon("notify", "list", "--json").json
    assert (row["status"], row["ambiguous"]) == ("queued", True)
    assert "no answer within" in row["last_error"]


def _impatient() -> Any:
    from dataclasses import replace

    import detmon_slack

    return replace(detmon_slack.Slack.capabilities, timeout_s=0.5)


# --- settings and secrets ----------------------------------------------------------------------------------------


def test_a_missing_secret_loses_nothing(detmon: Shell, slack: SlackServer) -> None:
    queue(detmon.folder, notice("slack:#ml-alerts"), now=NOON)
    missing = detmon("--now", NOON, "notify", "send")
    assert "SLACK_BOT_TOKEN" in missing.err
    assert "cron does not read your profile" in missing.err
    overdue = detmon("--now", later(NOON, minutes=16), "notify", "send", code=4)
    assert "1 notice overdue (15m)" in overdue.err
    env = detmon.folder / "env"
    env.write_text(f"SLACK_BOT_TOKEN={TOKEN}\n")
    env.chmod(0o644)
    assert "can be read by others" in detmon("notify", "send", "--env-file", env, code=2).err
    env.chmod(0o600)
    sent = detmon.process("--now", later(NOON, minutes=17), "notify", "send", "--env-file", env, "--json")
    assert json.loads(sent.stdout)["sent"] == 1
    assert detmon("notify", "list", "--json").json[0]["attempts"] == 1


@pytest.mark.parametrize("status", [503, 404, 418])
def test_secrets_are_found_nowhere(detmon: Shell, slack: SlackServer, status: int) -> None:
    secret = slack.webhook("planted-secret-9f2c")
    detmon.monkeypatch.setenv("SLACK_WEBHOOK_URL", secret)
    slack.answers.extend(
        [(status, {}, f"no such address {secret} /services/T0SECRET/B0SECRET/planted-secret-9f2c")] * 3
    )
    queue(detmon.folder, notice("slack:#ml-alerts"))
    results = [
        detmon("--now", NOON, "notify", "send", "--json", code=None),
        detmon("notify", "list", "--json"),
        detmon("notify", "test", "slack:#ml-alerts", "--json", code=None),
        detmon("notify", "test", "slack:#ml-alerts", "--dry-run"),
    ]
    seen = "".join(result.out + result.err for result in results) + stored(detmon.folder)
    assert "planted-secret" not in seen
    assert "T0SECRET" not in seen


def test_a_dead_port_does_not_show_the_webhook(detmon: Shell, slack: SlackServer) -> None:
    slack.shutdown()
    slack.server_close()
    detmon.monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.webhook("planted-secret-9f2c"))
    queue(detmon.folder, notice("slack:#ml-alerts"))
    result = detmon("--now", NOON, "notify", "send")
    assert "connection refused" in result.err
    assert "planted-secret" not in result.err + stored(detmon.folder)


def test_a_secret_in_the_configuration_is_refused(detmon: Shell, slack: SlackServer) -> None:
    (detmon.folder / "detmon.toml").write_text(f'[notify.slack]\ntoken = "{TOKEN}"\n')
    queue(detmon.folder, notice("slack:#ml-alerts"))
    result = detmon("--now", NOON, "notify", "send")
    assert "written as plain text" in result.err
    assert TOKEN not in result.err + stored(detmon.folder)
    with (detmon.folder / "detmon.toml").open("a") as file:
        file.write("allow_plain_secrets = true\n")
    assert detmon("--now", NOON, "notify", "send", "--json").json["sent"] == 1


def test_trying_a_target_out(detmon: Shell, token: SlackServer) -> None:
    tested = detmon("notify", "test", "slack:#ml-alerts", "--json").json
    assert tested["status"] == "sent"
    assert tested["receipt"]["channel"] == "C0ML"
    assert "TEST · FIRING" in token.shown[0]["blocks"][0]["text"]["text"]
    detmon("notify", "test", "slack:#none", code=4)
    detmon.monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-wrong-token")
    assert "invalid_auth" in detmon("notify", "test", "slack:#ml-alerts", code=2).err


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("slack:https://hooks.slack.com/services/T/B/x", "SLACK_WEBHOOK_URL"),
        ("slack:", "slack:#channel"),
        ("slack:#two words", "slack:#channel"),
        ("slak:#x", "did you mean 'slack'?"),
        ("nothing", "SCHEME:ADDRESS"),
    ],
)
def test_targets_that_are_refused(detmon: Shell, target: str, hint: str) -> None:
    assert hint in detmon("notify", "test", target, code=2).err
