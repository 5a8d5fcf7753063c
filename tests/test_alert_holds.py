"""What is held back: silences, acknowledgements, maintenance windows, inhibition; through the front door."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from conftest import VECTORS, Shell
from outbox_help import lines
from stored import BASE, Row, at, store, text

from detmon import Client
from detmon.alerts.maintenance import Maintenance
from detmon.alerts.matchers import all_hold, parse
from detmon.alerts.policy import _clock
from detmon.times import aware_utc, naive_utc, parse_instant

FILE = VECTORS / "alerts.json"
CASES: list[dict[str, Any]] = json.loads(FILE.read_text("utf-8")) if FILE.is_file() else []


def of_kind(kind: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in CASES if case["kind"] == kind]


def log(
    folder: Path, slow: range, end: int = 6000, *, sources: tuple[str, ...] = ("a",), start: int = 0, model: str = "m"
) -> None:
    """A prediction a minute and source from `start` - 300 s on, slow in the windows that end in `slow`."""
    store(
        folder,
        [
            Row(
                at(ts),
                model=model,
                source=source,
                latency=90.0 if slow and slow.start - 300 <= ts < slow.stop else 10.0,
            )
            for ts in range(start - 300, end, 60)
            for source in sources
        ],
    )


def rule(detmon: Shell, *options: object, name: str = "slow", model: str = "m", now: float = 0) -> Path:
    """A rule on the latency of five minutes, told to a file, which is returned."""
    told = detmon.folder / "told.jsonl"
    detmon(
        *(
            "--now",
            text(now),
            "alert",
            "create",
            name,
            "--model",
            model,
            "--metric",
            "avg_latency_ms",
            "--operator",
            "gt",
        ),
        *("--threshold", 50, "--window", "5m", "--min-samples", 1, "--notify", f"file:{told}", *options),
    )
    return told


def check(detmon: Shell, seconds: float, *options: object) -> Any:
    return detmon("--now", text(seconds), "alert", "check", "--json", *options).json


def silence(detmon: Shell, now: float, *options: object) -> str:
    return detmon("--now", text(now), "alert", "silence", "add", *options).out.strip()


def kinds(told: Path) -> list[str]:
    return [line["kind"] for line in lines(told)]


# --- the published cases -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", of_kind("silence"))
def test_a_silence(case: dict[str, Any], detmon: Shell) -> None:
    moments = {event: moment for moment, event in case["timeline"]}
    log(detmon.folder, range(0, moments.get("ok", 10_000) - 300))
    told = rule(detmon, "--repeat", "4h")
    silence(
        detmon,
        *(0, "alertname=slow", "--start", text(moments["silence_start"]), "--end", text(moments["silence_end"])),
    )
    messages = []
    for moment in range(0, 1801, 300):
        before = len(lines(told))
        check(detmon, moment)
        messages += [[moment, kind] for kind in kinds(told)[before:]]
    assert messages == case["expected_messages"]


@pytest.mark.parametrize("case", of_kind("matcher"))
def test_a_matcher(case: dict[str, Any], detmon: Shell) -> None:
    source = (case["labels"] or {}).get("source", "a")
    log(detmon.folder, range(0, 10_000), sources=(source,))
    told = rule(detmon, "--by", "source")
    texts = ["".join(matcher) for matcher in case["matchers"]]
    if case["expected"] == "validation_error":
        refused = detmon("alert", "silence", "add", *texts, "--for", "1h", code=2)
        assert "hold for every alert" in refused.err
        return
    silence(detmon, 0, *texts, "alertname=slow", "--for", "1h")
    [instance] = check(detmon, 0)["instances"]
    assert (instance["held_by"] is not None, kinds(told) == []) == (case["expected"], case["expected"])


@pytest.mark.parametrize("case", of_kind("inhibit"))
def test_an_inhibition(case: dict[str, Any], detmon: Shell) -> None:
    said = {side: [f"{label}={value}" for label, value in case["rule"][side].items()] for side in ("source", "target")}
    (detmon.folder / "detmon.toml").write_text(
        f"[[inhibit]]\nsource = {said['source']}\ntarget = {said['target']}\nequal = {case['rule']['equal']}\n"
    )
    sources = sorted({one["source"] for one in case["firing"]})
    log(detmon.folder, range(0, 10_000), sources=tuple(sources))
    for name in dict.fromkeys(one["alertname"] for one in case["firing"]):
        firing = [one["source"] for one in case["firing"] if one["alertname"] == name]
        where = ("--where", f"source={firing[0]}") if len(firing) == 1 else ()
        told = rule(detmon, "--by", "source", *where, name=name)
    run = check(detmon, 0)
    got = [
        {"alertname": item["alert"], "source": item["labels"]["source"]}
        for line in lines(told)
        for item in line["items"]
    ]
    assert sorted(got, key=str) == sorted(case["expected_notified"], key=str)
    held = {i["alert"]: i["held_by"] for i in run["instances"] if i["held_by"]}
    assert held == {"LowConfidence": "inhibit:CameraDown"}


@pytest.mark.parametrize("case", of_kind("time_window"))
def test_a_maintenance_window(case: dict[str, Any], detmon: Shell) -> None:
    window = case["window"]
    days = [day.title() for day in window["weekdays"]]
    (detmon.folder / "detmon.toml").write_text(
        f"[[maintenance]]\nname = 'works'\nzone = '{window['tz']}'\ndays = {days}\n"
        f"start = '{window['start']}'\nend = '{window['end']}'\n"
    )
    moment = (parse_instant(case["at"]) - BASE).total_seconds()
    log(detmon.folder, range(int(moment), int(moment) + 300), end=int(moment), start=int(moment))
    told = rule(detmon)
    [event] = check(detmon, moment)["events"]
    assert (kinds(told) == []) == case["expected_muted"]
    assert event["held_by"] == ("maintenance:works" if case["expected_muted"] else None)


# --- silences ------------------------------------------------------------------------------------------------------


def test_the_first_run_after_a_silence_tells_also_when_no_slot_is_due(detmon: Shell) -> None:
    log(detmon.folder, range(0, 10_000))
    told = rule(detmon)
    known = rule(detmon, "--repeat", "never", name="known")
    assert told == known
    check(detmon, 0, "known")
    silence(detmon, 10, "alertname=~slow|known", "--end", text(400))
    check(detmon, 300)
    assert kinds(told) == ["firing"]
    run = check(detmon, 399)
    assert {i["held_by"] is None for i in run["instances"]} == {False}
    run = check(detmon, 400)
    assert (run["slots"], run["events"]) == (0, [])
    assert {i["held_by"] for i in run["instances"]} == {None}
    news = [(line["kind"], line["items"][0]["alert"]) for line in lines(told)[1:]]
    assert sorted(news) == [("firing", "slow"), ("reminder", "known")]
    assert all("no longer held by silence:si_" in line["text"] for line in lines(told)[1:])
    assert [line["late_by_s"] for line in lines(told)] == [None, None, None]
    check(detmon, 420)
    check(detmon, 600)
    assert len(lines(told)) == 3


def test_a_silence_between_two_slots_is_noticed(detmon: Shell) -> None:
    log(detmon.folder, range(0, 10_000))
    told = rule(detmon)
    check(detmon, 0)
    silence(detmon, 10, "alertname=slow", "--for", "1m")
    check(detmon, 20)
    check(detmon, 100)
    assert kinds(told) == ["firing", "reminder"]


def test_checks_at_the_same_moment_tell_once_that_a_silence_is_over(detmon: Shell) -> None:
    """No slot is due, so no primary key keeps them apart: the mark on the instance does."""
    log(detmon.folder, range(0, 10_000))
    told = rule(detmon)
    check(detmon, 0)
    silence(detmon, 10, "alertname=slow", "--for", "1m")
    check(detmon, 20)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: Client(now=text(100)).check_alerts(send=False), range(4)))
    check(detmon, 110)
    assert kinds(told) == ["firing", "reminder"]
    assert [line["items"][0]["detail"].get("count") for line in lines(told)] == [None, 1]


def test_what_came_and_went_in_silence_is_not_told(detmon: Shell) -> None:
    log(detmon.folder, range(300, 600))
    told = rule(detmon)
    check(detmon, 0)
    silence(detmon, 10, "alertname=slow", "--for", "1h")
    run = check(detmon, 1500)
    assert [event["kind"] for event in run["events"]] == ["firing", "resolved"]
    check(detmon, 4500)
    assert kinds(told) == []


@pytest.mark.parametrize("edit", ["disable", "delete", "replace", "forget"])
def test_the_end_of_a_rule_is_told_in_silence_too(edit: str, detmon: Shell) -> None:
    log(detmon.folder, range(0, 10_000))
    told = rule(detmon, "--by", "source")
    check(detmon, 0)
    silence(detmon, 10, "alertname=slow", "--for", "2h")
    check(detmon, 300)
    if edit == "replace":
        rule(detmon, "--by", "source", "--for", "1h", "--replace", now=310)
    else:
        detmon("--now", text(310), "alert", edit, "slow", *(["source=a"] if edit == "forget" else []))
    check(detmon, 320)
    assert kinds(told) == ["firing", "closed"]


def test_missing_data_is_held_and_told_when_the_silence_is_over(detmon: Shell) -> None:
    log(detmon.folder, range(0), end=300)
    told = rule(detmon, "--no-data-for", "0s")
    check(detmon, 0)
    silence(detmon, 10, "alertname=slow", "--end", text(1000))
    run = check(detmon, 600)
    assert [(e["kind"], e["held_by"] is None) for e in run["events"]] == [("no_data", False)]
    assert kinds(told) == []
    check(detmon, 1010)
    assert kinds(told) == ["no_data"]
    silence(detmon, 1020, "alertname=slow", "--for", "1h")
    store(detmon.folder, [Row(at(1100), latency=10.0)])
    check(detmon, 1200)
    assert kinds(told) == ["no_data", "no_data_resolved"]


def test_a_flapping_alert_is_held_and_told_when_the_silence_is_over(detmon: Shell) -> None:
    bad = [range(300 * slot, 300 * slot + 1) for slot in (0, 2, 4)]
    rows = [
        Row(at(ts), latency=90.0 if any(ts in range(r.start - 300, r.start) for r in bad) else 10.0)
        for ts in range(-300, 6000, 60)
    ]
    store(detmon.folder, rows)
    told = rule(detmon)
    silence(detmon, 0, "alertname=slow", "--end", text(1700))
    for moment in range(0, 1501, 300):
        check(detmon, moment)
    assert kinds(told) == []
    check(detmon, 1800)
    assert kinds(told) == ["flapping"]
    assert "--keep-firing-for" in lines(told)[0]["items"][0]["reason"]
    check(detmon, 5400)
    assert kinds(told) == ["flapping", "stable"]


def test_what_fires_anew_after_flapping_is_told(detmon: Shell) -> None:
    """That it was steady, and that it fires, may both be news of one run that makes slots up."""
    bad = (0, 600, 1200, 6300)
    rows = [
        Row(at(ts), latency=90.0 if any(slot - 300 <= ts < slot for slot in bad) else 10.0)
        for ts in range(-300, 6900, 60)
    ]
    store(detmon.folder, rows)
    told = rule(detmon)
    for moment in (0, 300, 600, 900, 1200, 1500, 6300, 6600):
        check(detmon, moment)
    assert kinds(told)[2:] == ["firing", "resolved", "flapping", "firing", "resolved"]
    [last] = [line for line in lines(told) if {item["kind"] for item in line["items"]} == {"firing", "stable"}]
    assert last["kind"] == "firing"


def test_silences_are_listed_and_expire(detmon: Shell) -> None:
    log(detmon.folder, range(0, 10_000))
    rule(detmon, "--label", "team=vision")
    check(detmon, 0)
    added = detmon("--now", text(0), "alert", "silence", "add", "team=vision", "severity=~warn.*", "--for", "1h",
                   "--comment", "works", "--author", "ana", "--json")  # fmt: skip
    assert list(added.json) == ["silence_id", "matchers", "starts_at", "ends_at", "author", "comment", "state"]
    assert "it matches 1 instance now, 1 of them firing" in added.err
    later = silence(detmon, 0, "team=vision", "--start", text(9000), "--for", "1h")
    silence(detmon, 0, "alertname=slow", "--end", text(60))

    def listed(now: float) -> list[tuple[Any, ...]]:
        rows = detmon("--now", text(now), "alert", "silence", "list", "--json").json
        return [(row["state"], row["author"], row["starts_at"], row["ends_at"]) for row in rows]

    me = listed(0)[-1][1]
    assert listed(120) == [
        ("active", "ana", text(0), text(3600)),
        ("pending", me, text(9000), text(12600)),
        ("expired", me, text(0), text(60)),
    ]
    detmon("--now", text(600), "alert", "silence", "expire", added.json["silence_id"])
    detmon("--now", text(600), "alert", "silence", "expire", later)
    assert [row[0] for row in listed(600)] == ["expired"] * 3
    again = detmon("--now", text(700), "alert", "silence", "expire", later, "--json").json
    assert (again["starts_at"], again["ends_at"]) == (text(600), text(600))
    assert "unknown silence 'si_0'" in detmon("alert", "silence", "expire", "si_0", code=2).err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("source", "--for", "1h"), "'source' is not a matcher"),
        (("source=~(", "--for", "1h"), "not a regular expression: missing )"),
        (("alertname=slow", "source=~(?=x)", "--for", "1h"), "not a regular expression"),
        (("source!=a", "--for", "1h"), "hold for every alert"),
        (("source=a",), "--for D, or --end T"),
        (("source=a", "--for", "1h", "--end", text(60)), "--for D, or --end T"),
        (("source=a", "--for", "0s"), "over before it begins"),
        (("source=a", "--for", "soon"), "not a duration"),
        (("source=a", "--end", text(-60)), "over before it begins"),
        (("source=a", "--start", "noon", "--for", "1h"), "not a time"),
    ],
)
def test_a_wrong_silence_is_refused(given: tuple[str, ...], said: str, detmon: Shell) -> None:
    log(detmon.folder, range(0))
    assert said in detmon("--now", text(0), "alert", "silence", "add", *given, code=2).err
    assert detmon("alert", "silence", "list", "--json").json == []


def test_a_label_that_no_alert_has_is_said(detmon: Shell) -> None:
    log(detmon.folder, range(0))
    rule(detmon, "--by", "source")
    made = detmon("--now", text(0), "alert", "silence", "add", "sourse=a", "--for", "1h")
    assert "no alert has a label 'sourse'; did you mean 'source'?" in made.err
    assert "it matches 0 instances" in made.err


def test_no_pattern_makes_a_check_slow(detmon: Shell) -> None:
    source = "a" * 4000
    log(detmon.folder, range(0, 10_000), sources=(source,), end=300)
    rule(detmon, "--by", "source")
    silence(detmon, 0, "source=~(a*)*(a|aa)+b", "alertname=slow", "--for", "1h")
    begun = time.monotonic()
    [instance] = check(detmon, 0)["instances"]
    assert time.monotonic() - begun < 20
    assert instance["held_by"] is None


@pytest.mark.parametrize(
    ("matcher", "labels", "holds"),
    [
        ("a=b", {"a": "b"}, True),
        ("a=b=c", {"a": "b=c"}, True),
        ("a!=b", {"a": "b"}, False),
        ("a!=b", {}, True),
        ("a=~b|c", {"a": "bx"}, False),
        ("a=~.*", {}, True),
        ("a=~.+", {}, False),
        ("a!~b.", {"a": "bc"}, False),
        ("a!~b.", {"a": "abc"}, True),
        ("a=~x.y", {"a": "x\ny"}, True),
        ("tag:zone=", {"source": "x"}, True),
        ("a=", {"a": "x"}, False),
        ("a=~B", {"a": "b"}, False),
    ],
)
def test_matchers(matcher: str, labels: dict[str, str], holds: bool) -> None:
    from detmon.alerts.regex import Re2
    from detmon.store import connect

    assert all_hold([parse(matcher)], labels, Re2(connect())) is holds


# --- acknowledgements and forgetting ------------------------------------------------------------------------------


def test_an_acknowledged_alert_is_not_repeated(detmon: Shell) -> None:
    log(detmon.folder, range(0, 1200), sources=("a", "b"))
    told = rule(detmon, "--by", "source", "--repeat", "5m", "--flap", "off")
    check(detmon, 0)
    acked = detmon("--now", text(10), "alert", "ack", "slow", "source=a", "--author", "ana", "--json").json
    assert [(one["labels"], one["author"]) for one in acked] == [({"source": "a"}, "ana")]
    rows = detmon("alert", "list", "--json").json
    assert [(row["labels"]["source"], row["state"], row["held_by"]) for row in rows] == [
        ("a", "firing", "ack:ana"),
        ("b", "firing", None),
    ]
    check(detmon, 300)
    assert [[item["labels"]["source"] for item in line["items"]] for line in lines(told)] == [["a", "b"], ["b"]]
    check(detmon, 1800)
    assert kinds(told)[-1] == "resolved"
    store(detmon.folder, [Row(at(2090), source="a", latency=9000.0)])
    run = check(detmon, 2100)
    assert [(e["kind"], e["labels"]["source"], e["held_by"]) for e in run["events"]] == [("firing", "a", None)]
    assert kinds(told)[-1] == "firing"
    assert "nothing of 'slow' fires" in detmon("alert", "ack", "slow", "source=b", code=2).err
    assert "unknown label of 'slow' 'sauce'" in detmon("alert", "ack", "slow", "sauce=b", code=2).err
    assert "did you mean 'a'" in detmon("alert", "ack", "slow", "source=aa", code=2).err


def test_the_past_of_a_rule_holds_its_silences_and_acknowledgements(detmon: Shell) -> None:
    log(detmon.folder, range(0, 10_000), sources=("a", "b"))
    rule(detmon, "--by", "source", name="r")
    rule(detmon, name="other")
    check(detmon, 0)
    hour = ("--for", "1h", "--author", "ana")
    detmon("--now", text(60), "alert", "silence", "add", "source=b", "alertname=~r.*", *hour, "--comment", "lens")
    detmon("--now", text(70), "alert", "silence", "add", "alertname=other", *hour)
    detmon("--now", text(80), "alert", "ack", "r", "source=a", "--author", "bob")
    rows = detmon("alert", "history", "r", "--json").json
    assert [(row["slot"], row["what"], row["labels"], row["reason"]) for row in rows if row["slot"] > text(0)] == [
        (text(60), "silence", {}, "source=b alertname=~r.* until 2024-03-04 01:01Z by ana: lens"),
        (text(80), "ack", {"source": "a"}, "by bob"),
    ]
    rows = detmon("alert", "history", "other", "--json").json
    assert [row["reason"] for row in rows if row["what"] == "silence"] == [
        "alertname=other until 2024-03-04 01:01Z by ana"
    ]


def test_an_acknowledgement_does_not_hold_the_first_notice(detmon: Shell) -> None:
    log(detmon.folder, range(0, 10_000))
    told = rule(detmon)
    silence(detmon, 0, "alertname=slow", "--for", "400s")
    check(detmon, 0)
    detmon("--now", text(10), "alert", "ack", "slow", "--author", "ana")
    run = check(detmon, 500)
    assert [i["held_by"] for i in run["instances"]] == ["ack:ana"]
    assert kinds(told) == ["firing"]


def test_a_camera_that_is_gone_is_forgotten(detmon: Shell) -> None:
    log(detmon.folder, range(0, 10_000), sources=("a", "b"), end=300)
    told = rule(detmon, "--by", "source", "--no-data", "keep")
    check(detmon, 0)
    check(detmon, 900)
    [gone] = detmon("--now", text(1000), "alert", "forget", "slow", "source=b", "--json").json
    assert (gone["alert"], gone["labels"], gone["state"]) == ("slow", {"source": "b"}, "firing")
    run = check(detmon, 1200)
    assert [i["labels"] for i in run["instances"]] == [{"source": "a"}]
    [item] = lines(told)[-1]["items"]
    assert (item["kind"], item["reason"], item["labels"]) == ("closed", "series gone", {"source": "b"})
    assert "unknown source 'b'" in detmon("alert", "forget", "slow", "source=b", code=2).err


# --- maintenance windows and inhibition -----------------------------------------------------------------------------


def window(zone: str, start: str, end: str) -> Maintenance:
    return Maintenance("x", ZoneInfo(zone), _clock(start), _clock(end))


def test_windows_over_a_year_of_clock_changes() -> None:
    """Every window has its length on the clock, but for the days on which the clock changes inside it."""
    spans = [("00:00", "00:00"), ("01:30", "02:30"), ("02:15", "02:45"), ("02:15", "03:05"), ("23:00", "05:00")]
    for zone, (start, end) in product(("America/New_York", "Europe/Madrid", "Australia/Lord_Howe"), spans):
        found = window(zone, start, end)
        length = (datetime.combine(BASE, found.end) - datetime.combine(BASE, found.start)) % timedelta(days=1)
        length = length or timedelta(days=1)
        odd = 0
        for day in range(366):
            for begins, ends in found.around(datetime(2026, 1, 1, 12) + timedelta(days=day)):
                assert begins < ends
                assert found.covers(begins)
                assert not found.covers(begins - timedelta(seconds=1)) or length == timedelta(days=1)
                odd += ends - begins != length
        assert odd <= 3 * 2, (zone, start, end)


def test_a_window_covers_its_hours_on_the_clock() -> None:
    found = window("Europe/Madrid", "23:00", "05:00")
    for hour in range(24 * 365):
        moment = datetime(2026, 1, 1) + timedelta(hours=hour, minutes=30)
        local = aware_utc(moment).astimezone(ZoneInfo("Europe/Madrid"))
        assert found.covers(naive_utc(local)) == (local.hour >= 23 or local.hour < 5)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("[[maintenance]]\nstart = '1:00'", "[[maintenance]] 1 needs name"),
        ("[[maintenance]]\nname = 'n'\nend = '02:00'", "[[maintenance]] n needs start"),
        (
            "[[maintenance]]\nname = 'n'\nstart = '25:00'\nend = '02:00'",
            "[[maintenance]] n start: '25:00' is not a time",
        ),
        ("[[maintenance]]\nname = 'n'\nstart = '1:00'\nend = '02:00'", "n start: '1:00' is not a time of day"),
        ("[[maintenance]]\nname = 'n'\nzone = 'Madrid'\nstart = '01:00'\nend = '02:00'", "n zone: unknown time zone"),
        ("[[maintenance]]\nname = 'n'\ndays = ['Sam']\nstart = '01:00'\nend = '02:00'", "n days: 'Sam' is not a day"),
        ("[[maintenance]]\nname = 'n'\nmatch = ['x']\nstart = '01:00'\nend = '02:00'", "n match: 'x' is not a matcher"),
        (
            "[[maintenance]]\nname = 'n'\nmatch = ['x=~(']\nstart = '01:00'\nend = '02:00'",
            "n match: x=~(: not a regular",
        ),
        ("[[maintenance]]\nname = 'n'\nday = ['Sat']\nstart = '01:00'\nend = '02:00'", "did you mean 'days'?"),
        ("[maintenance]\nname = 'n'", "[[maintenance]] must be tables"),
        ("[[inhibit]]\nsource = ['a=b']", "[[inhibit]] 1 needs target"),
        ("[[inhibit]]\nsource = []\ntarget = ['a=b']", "[[inhibit]] 1 source: no matcher"),
        ("[[inhibit]]\nsource = ['a=~*']\ntarget = ['a=b']", "[[inhibit]] 1 source: a=~*: not a regular expression"),
        ("[[inhibit]]\nsource = ['a=b']\ntarget = ['a=c']\nequal = 'a'", "equal: 'a' is not a list"),
        ("[notify]\ngroup_by = 'camera'", "[notify] group_by: 'camera' is not one of rule, model"),
        ("[notify]\ninclude_examples = 'yes'", "[notify] include_examples: 'yes' is not true or false"),
    ],
)
def test_a_wrong_configuration_is_refused(table: str, said: str, detmon: Shell) -> None:
    log(detmon.folder, range(0))
    (detmon.folder / "detmon.toml").write_text(table + "\n")
    for call in (("config", "check"), ("alert", "check")):
        assert said in detmon(*call, code=2).err


def test_a_window_that_ends_releases(detmon: Shell) -> None:
    (detmon.folder / "detmon.toml").write_text(
        "[[maintenance]]\nname = 'nights'\nzone = 'Europe/Madrid'\nstart = '23:00'\nend = '01:10'\n"
        "match = ['source!=b']\n"
    )
    log(detmon.folder, range(0, 10_000), sources=("a", "b"))  # from 01:00 in Madrid on
    told = rule(detmon, "--by", "source")
    run = check(detmon, 0)
    assert {i["labels"]["source"]: i["held_by"] for i in run["instances"]} == {"a": "maintenance:nights", "b": None}
    shown = detmon("--now", text(0), "alert", "list")
    assert "held by maintenance nights" in shown.out
    check(detmon, 599)
    check(detmon, 600)
    assert [[item["labels"]["source"] for item in line["items"]] for line in lines(told)] == [["b"], ["a"]]


def test_what_is_inhibited_is_told_when_its_cause_is_over(detmon: Shell) -> None:
    (detmon.folder / "detmon.toml").write_text(
        "[[inhibit]]\nsource = ['severity=critical']\ntarget = ['severity=~warning|critical']\nequal = ['source']\n"
    )
    log(detmon.folder, range(0, 10_000))
    told = rule(detmon, "--by", "source")
    rule(detmon, "--by", "source", "--threshold", 80, "--severity", "critical", name="very slow")
    rule(detmon, "--by", "source", "--threshold", 85, "--severity", "critical", name="too slow")
    run = check(detmon, 0)
    held = {i["alert"]: i["held_by"] for i in run["instances"]}
    assert (held["very slow"], held["too slow"]) == (None, None)  # both are source and target: none holds the other
    assert held["slow"].startswith("inhibit:")
    assert "slow" not in {item["alert"] for line in lines(told) for item in line["items"]}
    check(detmon, 300, "slow")  # also a check of one rule knows of the others
    assert "slow" not in {item["alert"] for line in lines(told) for item in line["items"]}
    for name in ("very slow", "too slow"):
        detmon("--now", text(310), "alert", "disable", name)
    check(detmon, 320)
    assert [item["alert"] for item in lines(told)[-1]["items"]] == ["slow"]


def test_what_is_gone_inhibits_nothing(detmon: Shell) -> None:
    (detmon.folder / "detmon.toml").write_text(
        "[[inhibit]]\nsource = ['alertname=cause']\ntarget = ['alertname=effect']\n"
    )
    log(detmon.folder, range(0, 10_000), sources=("a", "b"), end=300)
    log(detmon.folder, range(0, 10_000), sources=("b",), start=600)
    where = ("--where", "source=a", "--no-data", "keep")
    told = rule(detmon, "--by", "source", *where, "--forget-after", "1h", name="cause")
    rule(detmon, "--where", "source=b", name="effect")
    run = check(detmon, 0)
    assert {i["alert"]: i["held_by"] for i in run["instances"]} == {"cause": None, "effect": "inhibit:cause"}
    check(detmon, 3300)
    assert {item["alert"] for line in lines(told) for item in line["items"]} == {"cause"}
    run = check(detmon, 4500)
    assert {(e["alert"], e["kind"]) for e in run["events"]} == {("cause", "closed")}
    assert [line["kind"] for line in lines(told)] == ["firing", "closed", "firing"]


# --- what is told together ------------------------------------------------------------------------------------------


def test_the_rules_of_a_model_in_one_message(detmon: Shell) -> None:
    (detmon.folder / "detmon.toml").write_text("[notify]\ngroup_by = 'model'\n")
    for model in ("m", "n"):
        log(detmon.folder, range(0, 600), model=model)
        for name in ("one", "two"):
            told = rule(detmon, name=name, model=model)
    check(detmon, 0)
    assert sorted([item["model_id"] + item["alert"] for item in line["items"]] for line in lines(told)) == [
        ["mone", "mtwo"],
        ["none", "ntwo"],
    ]
    check(detmon, 1200)
    assert [line["kind"] for line in lines(told)[2:]] == ["resolved", "resolved"]


def test_the_line_says_what_holds(detmon: Shell) -> None:
    log(detmon.folder, range(0, 10_000))
    rule(detmon)
    made = silence(detmon, 0, "alertname=slow", "--for", "1h")
    assert f"held by silence {made}" in detmon("--now", text(0), "alert", "check").out


def test_example_images_only_where_they_are_asked_for(detmon: Shell) -> None:
    rows = [Row(at(ts), source="a", latency=60.0 + ts % 7, boxes=[("car", 0.5)]) for ts in range(-300, 600, 60)]
    store(detmon.folder, rows)
    with duckdb.connect(str(detmon.folder / "detmon.duckdb")) as con:
        con.execute("UPDATE predictions SET image_uri = 's3://logs/' || image_id")
        con.execute("UPDATE predictions SET image_uri = 'https://logs/x.jpg?sig=secret' WHERE latency_ms = 66")
    told = rule(detmon, "--by", "source")
    check(detmon, 0)
    assert "for example" not in lines(told)[0]["text"]
    assert "examples" not in lines(told)[0]["items"][0]["detail"]
    detmon("--now", text(10), "alert", "forget", "slow", "source=a")
    (detmon.folder / "detmon.toml").write_text("[notify]\ninclude_examples = true\n")
    check(detmon, 300)
    [item] = [item for item in lines(told)[-1]["items"] if item["kind"] == "firing"]
    found = item["detail"]["examples"]
    slowest = sorted((row for row in rows if at(0) <= row.ts < at(300)), key=lambda row: -(row.latency or 0))[:3]
    assert [image.partition(" ")[0] for image in found] == [f"p{rows.index(row)}" for row in slowest]
    assert f"for example {', '.join(found)}" in lines(told)[-1]["text"]
    assert "secret" not in json.dumps(lines(told))
    assert any("(s3://logs/p" in image for image in found)


@pytest.mark.parametrize("by", [("tag:site",), ("label", "source"), ()])
def test_example_images_are_those_of_the_instance(by: tuple[str, ...], detmon: Shell) -> None:
    (detmon.folder / "detmon.toml").write_text("[notify]\ninclude_examples = true\n")
    rows = [
        Row(at(-10 * (number + 1)), source=str(number % 2), tags=[("site", "x")] if number % 3 else [],
            boxes=[("car" if number % 5 else "bus", 0.2)])
        for number in range(30)
    ]  # fmt: skip
    store(detmon.folder, rows)
    told = detmon.folder / "told.jsonl"
    detmon(
        *("alert", "create", "low", "--model", "m", "--metric", "avg_confidence", "--operator", "lt"),
        *("--threshold", 0.5, "--window", "5m", "--min-samples", 1, "--notify", f"file:{told}"),
        *(part for key in by for part in ("--by", key)),
    )
    check(detmon, 0)
    ordered = sorted(rows, key=lambda row: row.ts)
    [line] = lines(told)
    for item in line["items"]:
        images = [ordered[int(image[1:])] for image in item["detail"]["examples"]]
        assert images
        for image in images:
            known = {"source": image.source, "tag:site": dict(image.tags).get("site", ""), "label": image.boxes[0][0]}
            assert item["labels"].items() <= known.items()


def test_a_firing_that_was_held_long_is_not_late(detmon: Shell) -> None:
    log(detmon.folder, range(0, 10_000))
    told = rule(detmon)
    silence(detmon, 0, "alertname=slow", "--for", "1h")
    check(detmon, 0)
    check(detmon, 3600)
    [line] = lines(told)
    assert (line["kind"], line["late_by_s"]) == ("firing", None)
