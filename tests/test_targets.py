"""Targets that are services: webhooks, Alertmanager, PagerDuty, Apprise; through `alert check` to local servers."""

from __future__ import annotations

import json
import re
import resource
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import stored
from conftest import ROOT, Shell
from outbox_help import NOON, item, later, lines, notice, queue
from outbox_help import stored as outbox_text
from receivers import PagerDuty, Receiver, receiving
from test_delivery_rows import clock, every_five_minutes, log

from detmon.store import Store
from detmon.times import parse_instant

HOSTILE = "<!channel>&</b>[red]\x1b]0;x\r\nBcc: x"
SECRETS = {"ONE": "first-secret-1234", "TWO": "second-secret-5678"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detmon.notify.sending.SECOND_TRY_AFTER", 0.01)


@pytest.fixture
def pagerduty(detmon: Shell) -> Iterator[PagerDuty]:
    with receiving(PagerDuty()) as server:
        detmon.monkeypatch.setenv("PAGERDUTY_ROUTING_KEY", server.routing_key)
        settings(detmon, f'[notify.pagerduty.oncall]\nurl = "{server.url}"\n')
        yield server


@pytest.fixture
def alertmanager(detmon: Shell) -> Iterator[Receiver]:
    with receiving(Receiver()) as server:
        settings(detmon, f'[notify.alertmanager.main]\nurl = "{server.url}"\n')
        yield server


@pytest.fixture
def hook(detmon: Shell) -> Iterator[Receiver]:
    for name, value in SECRETS.items():
        detmon.monkeypatch.setenv(name, value)
    with receiving(Receiver()) as server:
        settings(detmon, f'[notify.webhook.ops]\nurl = "{server.url}/in"\nsecret = ["env:ONE", "env:TWO"]\n')
        yield server


def settings(detmon: Shell, text: str) -> None:
    with (detmon.folder / "detmon.toml").open("a") as file:
        file.write(text)


def rule(detmon: Shell, target: str, *options: str) -> None:
    """A rule on the log of `log`: a slot and a window are 5 minutes."""
    detmon(
        "--now", clock("10:00"), "alert", "create", "Low", "--model", "m", "--metric", "avg_confidence",
        "--operator", "lt", "--threshold", "0.7", "--window", "5m", "--every", "5m", "--min-samples", "1",
        "--notify", target, *options,
    )  # fmt: skip


def up_and_down(detmon: Shell) -> None:
    """A log that is bad for 5 minutes and good for 5, from 10:00 to 10:50, and good from then on."""
    rows = [
        stored.Row(stored.at(10 * 3600 + second), boxes=[("car", 0.3 if second < 3000 and second % 600 < 300 else 0.9)])
        for second in range(0, 3 * 3600, 30)
    ]
    stored.store(detmon.folder, rows)


def check(detmon: Shell, time: str, code: int | None = 0) -> Any:
    return detmon("--now", clock(time), "alert", "check", "--json", code=code).json


def posted(server: Receiver) -> list[dict[str, Any]]:
    """The alerts that an Alertmanager took, one a request."""
    assert {request.path for request in server.requests} <= {"/api/v2/alerts"}
    assert all(len(request.json) == 1 for request in server.requests)
    return [request.json[0] for request in server.requests if request.status == 200]


# --- targets that keep state -------------------------------------------------------------------------------------


def test_an_incident_is_opened_once_and_resolved(detmon: Shell, pagerduty: PagerDuty) -> None:
    log(detmon.folder, ("10:00", "10:30"), end="10:45")
    rule(detmon, "pagerduty:oncall")
    for time in every_five_minutes("10:05", "10:40"):
        check(detmon, time)
    assert [action for action, _ in pagerduty.history] == ["trigger", "resolve"]
    assert len({key for _, key in pagerduty.history}) == 1
    event = pagerduty.requests[0].json
    assert event["payload"]["summary"] == "FIRING · Low · m · avg_confidence 0.3"
    assert (event["payload"]["severity"], event["payload"]["source"]) == ("warning", "m")
    assert event["payload"]["timestamp"] == clock("10:05")
    assert pagerduty.open == {}
    assert pagerduty.routing_key not in outbox_text(detmon.folder)


def test_an_incident_is_resolved_even_if_resolves_are_not_wanted(detmon: Shell, pagerduty: PagerDuty) -> None:
    file = detmon.folder / "told.jsonl"
    log(detmon.folder, ("10:00", "10:10"), end="10:30")
    rule(detmon, "pagerduty:oncall", "--notify", f"file:{file}", "--no-send-resolved")
    for time in ("10:05", "10:10", "10:15"):
        check(detmon, time)
    assert [action for action, _ in pagerduty.history] == ["trigger", "resolve"]
    assert [line["kind"] for line in lines(file)] == ["firing"]


@pytest.mark.parametrize(("deliver_closed", "told"), [(False, []), (True, ["trigger", "resolve"])])
def test_what_came_and_went_in_an_outage(
    detmon: Shell, pagerduty: PagerDuty, deliver_closed: bool, told: list[str]
) -> None:
    settings(detmon, f"[notify]\ndeliver_closed = {str(deliver_closed).lower()}\n")
    log(detmon.folder, ("10:00", "10:10"), end="11:00")
    rule(detmon, "pagerduty:oncall")
    for time in every_five_minutes("10:05", "10:30"):
        pagerduty.down = time < "10:25"
        check(detmon, time, code=None)
    assert [action for action, _ in pagerduty.history] == told
    assert pagerduty.open == {}
    assert detmon("notify", "list", "--status", "queued", "--json").json == []


def test_an_incident_that_may_have_been_opened_is_closed(detmon: Shell, pagerduty: PagerDuty) -> None:
    pagerduty.answers.extend([(504, {}, "gateway timeout")])
    log(detmon.folder, ("10:00", "10:05"), end="11:00")
    rule(detmon, "pagerduty:oncall")
    for time in every_five_minutes("10:05", "10:20"):
        check(detmon, time)
    assert [action for action, _ in pagerduty.history] == ["resolve"]


def test_flapping_is_one_incident_until_it_is_steady(detmon: Shell, pagerduty: PagerDuty) -> None:
    up_and_down(detmon)
    rule(detmon, "pagerduty:oncall", "--flap", "3/1h")
    for time in every_five_minutes("10:05", "12:00"):
        check(detmon, time)
    assert [action for action, _ in pagerduty.history] == ["trigger", "resolve"] * 3
    assert "FLAPPING" in pagerduty.requests[4].json["payload"]["summary"]
    assert pagerduty.open == {}


def test_missing_data_is_an_incident_of_its_own(detmon: Shell, pagerduty: PagerDuty) -> None:
    log(detmon.folder, ("10:00", "12:00"), end="10:10")
    late = [stored.Row(stored.at(10 * 3600 + 1800 + second), boxes=[("car", 0.3)]) for second in range(0, 900, 30)]
    stored.store(detmon.folder, late)
    rule(detmon, "pagerduty:oncall", "--no-data-for", "0s")
    check(detmon, "10:05")
    check(detmon, "10:15")
    assert len(pagerduty.open) == 2
    (dead,) = [key for key in pagerduty.open if key.endswith(".no_data")]
    check(detmon, "10:35")
    assert list(pagerduty.open) == [dead.removesuffix(".no_data")]  # data is back, and it still fires


def test_a_deleted_rule_resolves_its_incident(detmon: Shell, pagerduty: PagerDuty) -> None:
    log(detmon.folder, ("10:00", "10:30"), end="10:45")
    rule(detmon, "pagerduty:oncall")
    check(detmon, "10:05")
    assert len(pagerduty.open) == 1
    detmon("--now", clock("10:06"), "alert", "delete", "Low")
    detmon("--now", clock("10:06"), "notify", "send")
    assert pagerduty.open == {}


def test_pagerduty_refuses_and_pauses(detmon: Shell, pagerduty: PagerDuty) -> None:
    pagerduty.answers.append((429, {"Retry-After": "40"}, ""))
    queue(detmon.folder, notice("pagerduty:oncall", item()), notice("pagerduty:oncall", item(number=2)))
    detmon("--now", NOON, "notify", "send")
    assert len(pagerduty.requests) == 1
    detmon("--now", later(NOON, seconds=90), "notify", "send")
    assert len(pagerduty.open) == 2
    detmon.monkeypatch.setenv("PAGERDUTY_ROUTING_KEY", "f" * 32)
    queue(detmon.folder, notice("pagerduty:oncall", item(number=3)))
    refused = detmon("--now", later(NOON, minutes=3), "notify", "send", code=4)
    assert "Invalid routing key" in refused.err
    assert "f" * 32 not in refused.err + outbox_text(detmon.folder)


def test_an_event_stays_within_pagerdutys_limits(detmon: Shell, pagerduty: PagerDuty) -> None:
    labels = {f"tag:{number}": HOSTILE + "x" * 10_000 for number in range(8)}
    queue(detmon.folder, notice("pagerduty:oncall", item(labels=labels, alert="x" * 3_000)))
    detmon("--now", NOON, "notify", "send")
    ((_, event),) = pagerduty.open.items()
    assert len(event["payload"]["summary"]) <= 1024
    assert "\x1b" not in json.dumps(event, ensure_ascii=False)


# --- alertmanager ------------------------------------------------------------------------------------------------


def test_an_alert_is_upheld_at_every_run_and_ended(detmon: Shell, alertmanager: Receiver) -> None:
    log(detmon.folder, ("10:00", "10:15"), end="10:45")
    rule(detmon, "alertmanager:main", "--label", "team=vision")
    for time in every_five_minutes("10:05", "10:25"):
        check(detmon, time)
    alerts = posted(alertmanager)
    assert len({json.dumps(alert["labels"], sort_keys=True) for alert in alerts}) == 1
    assert alerts[0]["labels"] == {"alertname": "Low", "model_id": "m", "severity": "warning", "team": "vision"}
    assert {alert["startsAt"] for alert in alerts} == {clock("10:05")}
    assert [alert["endsAt"][:16] for alert in alerts] == [clock(t)[:16] for t in ("10:20", "10:25", "10:30", "10:20")]
    kinds = [row["kind"] for row in detmon("notify", "list", "--refreshes", "--json").json]
    assert kinds == ["resolved", "refresh", "refresh", "firing"]
    assert [row["kind"] for row in detmon("notify", "list", "--json").json] == ["resolved", "firing"]
    assert detmon("status", "--json").json["outbox"]["sent"] == 2


def test_what_flaps_is_upheld_until_it_is_steady(detmon: Shell, alertmanager: Receiver) -> None:
    up_and_down(detmon)
    rule(detmon, "alertmanager:main", "--flap", "3/1h")
    for time in every_five_minutes("10:05", "10:40"):
        check(detmon, time)
    kinds = [row["kind"] for row in reversed(detmon("notify", "list", "--refreshes", "--json").json)]
    assert kinds == ["firing", "resolved", "firing", "resolved", "flapping", "refresh", "refresh", "refresh"]
    assert [alert["endsAt"][:16] for alert in posted(alertmanager)[-2:]] == [clock("10:50")[:16], clock("10:55")[:16]]


def test_a_silence_does_not_let_go_of_what_is_told(detmon: Shell, alertmanager: Receiver) -> None:
    log(detmon.folder, ("10:00", "10:30"), end="10:45")
    rule(detmon, "alertmanager:main")
    check(detmon, "10:05")
    detmon("--now", clock("10:06"), "alert", "silence", "add", "alertname=Low", "--for", "1h")
    check(detmon, "10:10")
    assert [alert["endsAt"][:16] for alert in posted(alertmanager)] == [clock("10:20")[:16], clock("10:25")[:16]]


def test_an_outage_leaves_the_newest_state_only(detmon: Shell, alertmanager: Receiver) -> None:
    log(detmon.folder, ("10:00", "10:30"), end="10:45")
    rule(detmon, "alertmanager:main")
    for time in every_five_minutes("10:05", "10:35"):
        alertmanager.down = time == "10:10"
        check(detmon, time, code=None)
    ends = [alert["endsAt"][:16] for alert in posted(alertmanager)]
    assert ends == [clock(time)[:16] for time in ("10:20", "10:30", "10:35", "10:40", "10:45", "10:35")]
    statuses = [row["status"] for row in detmon("notify", "list", "--json").json]
    assert not set(statuses) & {"queued", "dead"}


def test_labels_are_made_fit(detmon: Shell, alertmanager: Receiver) -> None:
    labels = {"tag:site": HOSTILE, "1st": "x" * 10_000, "source": ""}
    queue(detmon.folder, notice("alertmanager:main", item(labels=labels)))
    detmon("--now", NOON, "notify", "send")
    (alert,) = posted(alertmanager)
    assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) for name in alert["labels"])
    assert "\x1b" not in alert["labels"]["tag_site"]
    assert alert["labels"]["instance_key"] == item().instance_key  # the cut label alone may not be its own
    assert "" not in alert["labels"].values()


def test_fifty_instances_a_run(detmon: Shell, alertmanager: Receiver) -> None:
    many = [item(number=number) for number in range(60)]
    queue(detmon.folder, notice("alertmanager:main", *many))
    detmon.monkeypatch.setattr("detmon_alertmanager.Alertmanager.capabilities", _unhurried())
    first = detmon("--now", NOON, "notify", "send", "--json").json
    assert (first["sent"], first["queued"], len(alertmanager.requests)) == (50, 10, 50)
    second = detmon("--now", later(NOON, minutes=1), "notify", "send", "--json").json
    assert (second["sent"], second["queued"]) == (10, 0)
    assert [alert["labels"]["source"] for alert in posted(alertmanager)] == [f"cam-{number}" for number in range(60)]


def test_what_is_open_is_upheld_however_many_there_are(detmon: Shell, alertmanager: Receiver) -> None:
    """Alertmanager would let go of what waits for a later run."""
    news = [notice("alertmanager:main", item(number=number), group_key=str(number)) for number in range(60)]
    again = [item("refresh", number=number) for number in range(60, 130)]
    queue(detmon.folder, *news, notice("alertmanager:main", *again))
    detmon.monkeypatch.setattr("detmon_alertmanager.Alertmanager.capabilities", _unhurried())
    first = detmon("--now", NOON, "notify", "send", "--json").json
    assert (first["sent"], first["queued"]) == (50 + 70, 10)
    detmon("--now", later(NOON, minutes=1), "notify", "send")
    assert len(posted(alertmanager)) == 130


def test_old_repetitions_are_not_kept(detmon: Shell, alertmanager: Receiver) -> None:
    log(detmon.folder, ("10:00", "10:30"), end="10:45")
    rule(detmon, "alertmanager:main")
    for time in every_five_minutes("10:05", "10:20"):
        check(detmon, time)
    assert len(detmon("notify", "list", "--refreshes", "--json").json) == 4
    check(detmon, "10:40")
    queue(detmon.folder, notice("alertmanager:main", item()))
    detmon("--now", NOON, "notify", "send")
    kinds = [row["kind"] for row in detmon("notify", "list", "--refreshes", "--json").json]
    assert kinds == ["firing", "resolved", "firing"]
    with Store(detmon.folder / "detmon.duckdb").reading() as con:
        assert con.execute("SELECT count(*) FROM outbox_items WHERE kind = 'refresh'").fetchone() == (0,)


def test_alertmanager_is_tried_again_before_it_lets_go(detmon: Shell, alertmanager: Receiver) -> None:
    alertmanager.down = True
    queue(detmon.folder, notice("alertmanager:main", item()))
    moment = NOON
    for _ in range(6):
        detmon("--now", moment, "notify", "send", code=None)
        (row,) = detmon("notify", "list", "--json").json
        pause = parse_instant(row["not_before"]) - parse_instant(moment)
        moment = row["not_before"]
    assert timedelta(minutes=3) < pause < timedelta(minutes=7)


def _unhurried() -> Any:
    from dataclasses import replace

    from detmon_alertmanager import Alertmanager

    return replace(Alertmanager.capabilities, rate_per_s=1e6)


def test_a_firing_alert_that_is_told_loads_no_plugin(detmon: Shell) -> None:
    log(detmon.folder, ("10:00", "10:30"), end="10:45")
    rule(detmon, "file:told.jsonl")
    check(detmon, "10:05")
    assert _loaded(detmon, "10:10") == []


def _loaded(detmon: Shell, time: str) -> Any:
    import os
    import subprocess
    import sys

    code = (
        "import sys, json; from detmon.cli.app import run;"
        f"run(['--now', '{clock(time)}', 'alert', 'check']);"
        "print(json.dumps([m for m in sys.modules if m in ('detmon.plugins', 'detmon_console', 'requests')]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=detmon.folder, env=os.environ, capture_output=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


# --- webhooks ----------------------------------------------------------------------------------------------------


def guide_check() -> Any:
    """The receiver's check that docs/notify.md shows."""
    found = re.search(
        r"^```python\n(.*?def is_from_detmon.*?)^```$", (ROOT / "docs/notify.md").read_text("utf-8"), re.M | re.S
    )
    assert found is not None
    names: dict[str, Any] = {}
    exec(found[1], names)
    return names["is_from_detmon"]


def test_a_webhook_is_signed_as_the_guide_checks_it(detmon: Shell, hook: Receiver) -> None:
    hook.answers.append((503, {}, "busy"))
    hook.answers.append((503, {}, "busy"))
    queue(detmon.folder, notice("webhook:ops", item(labels={"source": HOSTILE})))
    detmon("--now", NOON, "notify", "send")
    detmon("--now", later(NOON, seconds=90), "notify", "send")
    assert len(hook.requests) == 3
    assert len({request.headers["Idempotency-Key"] for request in hook.requests}) == 1
    is_from_detmon, last = guide_check(), hook.requests[-1]
    time = int(last.headers["X-Detmon-Timestamp"])
    for secret in SECRETS.values():
        assert is_from_detmon(secret, last.headers, last.body, time + 299)
        assert not is_from_detmon(secret, last.headers, last.body, time + 301)
        assert not is_from_detmon(secret, last.headers, last.body + b" ", time)
    assert not is_from_detmon("another", last.headers, last.body, time)
    assert not is_from_detmon(SECRETS["ONE"], {}, last.body, time)
    content = last.json
    assert (content["version"], content["kind"], content["attempt"], content["maybe_repeat"]) == (1, "firing", 2, False)
    assert content["notice_id"] == last.headers["Idempotency-Key"]
    assert {"id", "name", "model_id", "severity", "metric", "operator", "threshold", "window"} == set(content["alert"])
    assert all(secret not in outbox_text(detmon.folder) for secret in SECRETS.values())


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ((204, {}, ""), "sent", None),
        ((408, {}, ""), "queued", "408"),
        ((425, {}, ""), "queued", "425"),
        ((429, {"Retry-After": "5"}, ""), "queued", "429"),
        ((502, {}, ""), "queued", "502"),
        ((301, {"Location": "http://127.0.0.1:1/"}, ""), "dead", "301"),
        ((400, {}, "no\x1b[31m" + "x" * 5_000), "dead", "webhook:ops answered 400: no[31mxx"),
        ((410, {}, "gone"), "dead", "410: gone"),
    ],
)
def test_answers_of_a_webhook(
    detmon: Shell, hook: Receiver, answer: tuple[int, dict[str, str], str], status: str, said: str | None
) -> None:
    hook.answers.append(answer)
    hook.answers.append(answer)
    queue(detmon.folder, notice("webhook:ops"))
    detmon("--now", NOON, "notify", "send", code=None)
    (row,) = detmon("notify", "list", "--json").json
    assert row["status"] == status
    assert (said or "") in (row["last_error"] or "")
    assert len(row["last_error"] or "") <= 256


def test_the_alertmanager_payload(detmon: Shell, hook: Receiver) -> None:
    settings(detmon, 'format = "alertmanager"\n')
    queue(detmon.folder, notice("webhook:ops", item(), item("resolved", number=2)))
    detmon("--now", NOON, "notify", "send")
    content = hook.requests[0].json
    assert (content["version"], content["status"], content["receiver"]) == ("4", "firing", "ops")
    assert [alert["status"] for alert in content["alerts"]] == ["firing", "resolved"]
    assert content["commonLabels"]["alertname"] == "Low Confidence Alert"
    assert content["groupKey"] == '{}:{alertname="Low Confidence Alert", model_id="yolo-prod"}'
    assert content["alerts"][0]["annotations"]["summary"].endswith("avg_confidence 0.642, threshold < 0.7, over 1h")
    assert content["alerts"][1]["endsAt"] == NOON.replace("Z", "") + content["alerts"][1]["endsAt"][19:]


def test_a_webhook_waits_for_its_settings(detmon: Shell, hook: Receiver) -> None:
    detmon.monkeypatch.delenv("ONE")
    detmon.monkeypatch.delenv("TWO")
    queue(detmon.folder, notice("webhook:ops"), notice("webhook:opps"))
    said = detmon("--now", NOON, "notify", "send").err
    assert "webhook:ops: [notify.webhook.ops] secret: none of env:ONE, env:TWO is set (cron" in said
    assert "webhook:opps: [notify.webhook.opps] has no url here: did you mean webhook:ops?" in said
    assert hook.requests == []
    assert [row["status"] for row in detmon("notify", "list", "--json").json] == ["queued", "queued"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://example.com/", "http only to this machine"),
        ("https://169.254.169.254/latest", "link-local and metadata addresses are refused"),
        ("https://[fd00:ec2::254]/", "link-local and metadata addresses are refused"),
        ("https://[::ffff:169.254.169.254]/", "link-local and metadata addresses are refused"),
        ("https://2852039166/", "link-local and metadata addresses are refused"),
        ("ftp://127.0.0.1/", "must begin with https://"),
        ("file:///etc/passwd", "must begin with https://"),
    ],
)
def test_places_that_get_no_notice(detmon: Shell, url: str, said: str) -> None:
    settings(
        detmon,
        f'[notify.webhook.ops]\nurl = "{url}"\n' if "file:" not in url else '[notify.webhook.ops]\nurl = "gopher:x"\n',
    )
    queue(detmon.folder, notice("webhook:ops"))
    assert said in detmon("--now", NOON, "notify", "send", code=4).err


# --- all of them -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["webhook", "alertmanager", "pagerduty", "apprise"])
def test_a_target_is_a_name(detmon: Shell, scheme: str) -> None:
    for rest in ("https://example.com/T0KEN", "", "a b", "../x"):
        refused = detmon("notify", "test", f"{scheme}:{rest}", "--dry-run", code=2)
        assert f"[notify.{scheme}.ops]" in refused.err
        assert "T0KEN" not in refused.err.replace(f"{scheme}:https://example.com/T0KEN", "")


def test_a_full_disk_leaves_no_part_of_a_line(detmon: Shell) -> None:
    path = Path("told.jsonl")
    path.write_text("{}\n" * 100_000)
    path.chmod(0o600)
    size, limits = path.stat().st_size, resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, limits[1]))
    try:
        failed = detmon("notify", "test", f"file:{path}", "--json", code=4).json
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "only 100 of " in failed["reason"]
    assert path.stat().st_size == size
    detmon("notify", "test", f"file:{path}")
    assert json.loads(path.read_text().splitlines()[-1])["kind"] == "firing"


@pytest.mark.parametrize(
    ("target", "setting"),
    [
        ("slack:#a", "[notify.slack] token = 'env:MY_TOKEN'"),
        ("slack:#b", "[notify.slack] webhooks: #b = 'env:MY_TOKEN'"),
        ("email:a@example.com", "[notify.email] password = 'file:/nowhere'"),
        ("pagerduty:on", "[notify.pagerduty.on] routing_key = 'env:MY_TOKEN'"),
        ("webhook:ops", "[notify.webhook.ops] secret = 'env:MY_TOKEN'"),
        ("webhook:url", "[notify.webhook.url] url = 'env:MY_TOKEN'"),
        ("apprise:chat", "[notify.apprise.chat] url = 'env:MY_TOKEN'"),
    ],
)
def test_the_reference_that_leads_nowhere_is_named(detmon: Shell, target: str, setting: str) -> None:
    if target.startswith("apprise:"):
        pytest.importorskip("apprise")
    settings(
        detmon,
        """
        [notify.slack]
        token = "env:MY_TOKEN"
        webhooks = { "#b" = "env:MY_TOKEN" }
        [notify.email]
        host = "smtp.example.com"
        username = "me@example.com"
        password = "file:/nowhere"
        [notify.pagerduty.on]
        routing_key = "env:MY_TOKEN"
        [notify.webhook.ops]
        url = "https://example.com"
        secret = "env:MY_TOKEN"
        [notify.webhook.url]
        url = "env:MY_TOKEN"
        [notify.apprise.chat]
        url = "env:MY_TOKEN"
        """,
    )
    queue(detmon.folder, notice(target))
    said = detmon("--now", NOON, "notify", "send").err
    assert f"{target}: {setting}" in said
    assert "cron does not read your profile" in said
    assert f"{target}: {setting}" in detmon("notify", "test", target, code=2).err


def test_settings_are_checked(detmon: Shell) -> None:
    settings(detmon, '[notify]\ndefault = ["webhook:ops"]\n[notify.webhook.ops]\nulr = "https://example.com/"\n')
    assert "did you mean 'url'?" in detmon("config", "check", code=2).err
    (detmon.folder / "detmon.toml").write_text('[notify.pagerduty]\nrouting_key = "env:X"\n')
    assert "[notify.pagerduty.NAME]" in detmon("config", "check", code=2).err
    (detmon.folder / "detmon.toml").write_text('[notify.pagerduty.oncall]\nrouting_key = "plain-text-key-1"\n')
    (detmon.folder / "other.toml").write_text('[notify.alertmanager.am]\nurl = "http://am.example.com"\n')
    assert "http only to this machine" in detmon("--config", "other.toml", "config", "check").err
    refused = detmon("notify", "test", "pagerduty:oncall", code=2)
    assert "[notify.pagerduty.oncall] routing_key is written as plain text" in refused.err
    assert "plain-text-key-1" not in detmon("config", "show").out + refused.err


def test_a_dry_run_shows_no_secret(detmon: Shell, pagerduty: PagerDuty, hook: Receiver) -> None:
    for target in ("pagerduty:oncall", "webhook:ops"):
        shown = detmon("notify", "test", target, "--dry-run").out
        assert "Test Alert" in shown
        assert pagerduty.routing_key not in shown
    assert pagerduty.requests == hook.requests == []


def test_a_secret_comes_from_a_file(detmon: Shell, pagerduty: PagerDuty) -> None:
    detmon.monkeypatch.delenv("PAGERDUTY_ROUTING_KEY")
    file = detmon.folder / "key"
    file.write_text(pagerduty.routing_key + "\n")
    detmon.monkeypatch.setenv("PAGERDUTY_ROUTING_KEY_FILE", str(file))
    assert detmon("notify", "test", "pagerduty:oncall", "--json").json["status"] == "sent"
    assert detmon("notify", "test", "pagerduty:oncall", "--kind", "resolved", "--json").json["status"] == "sent"
    assert pagerduty.open == {}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of modules that Apprise imports
def test_apprise_delivers_and_says_what_it_can(detmon: Shell, tmp_path: Path) -> None:
    pytest.importorskip("apprise", reason="the extra detmon[apprise] is not installed")
    with receiving(Receiver()) as server:
        detmon.monkeypatch.setenv("APPRISE_OPS", server.url.replace("http://", "json://") + "/T0KEN")
        queue(detmon.folder, notice("apprise:ops", item(labels={"source": HOSTILE})))
        detmon("--now", NOON, "notify", "send")
        (told,) = server.requests
        assert (told.path, told.json["title"]) == ("/T0KEN", "FIRING · Low Confidence Alert · yolo-prod")
        server.down = True
        queue(detmon.folder, notice("apprise:ops", slot="11:00"))
        failed = detmon("--now", later(NOON, minutes=1), "notify", "send")
        (row,) = detmon("notify", "list", "--status", "queued", "--json").json
    assert (row["ambiguous"], row["last_error"]) == (True, "Apprise could not deliver it and does not say why")
    assert "T0KEN" not in failed.err + outbox_text(detmon.folder)
    detmon.monkeypatch.setenv("APPRISE_OPS", "nonsense://x")
    assert "does not understand this address" in detmon("notify", "test", "apprise:ops", code=2).err
