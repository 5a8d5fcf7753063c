"""The behavioural cases of the test vectors, through the command line and on the state machine alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from conftest import VECTORS, Shell
from outbox_help import lines
from stored import Row, at, store, text

from detmon.alerts import machine, rules
from detmon.alerts.machine import Instance, Outcome
from detmon.metrics import CATALOGUE

FILE = VECTORS / "alerts.json"
CASES: list[dict[str, Any]] = json.loads(FILE.read_text("utf-8")) if FILE.is_file() else []
REPORTED = ("firing", "resolved", "no_data", "no_data_resolved", "error", "error_resolved")


def of_kind(kind: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in CASES if case["kind"] == kind]


def seconds(duration: str) -> int:
    return int(rules.parse_duration(duration).total_seconds())


# --- rows in the log -----------------------------------------------------------------------------------------------


def mapping(case: Mapping[str, Any]) -> Callable[[float], float]:
    """x → s·x + c with whole latencies of at least 2 for all numbers of a case."""
    rule = case["rule"]
    numbers = [value for _, value in case["samples"] if isinstance(value, (int, float))]
    numbers += [rule[key] for key in ("threshold", "recover_threshold") if rule.get(key) is not None]
    scale = 1
    while any(Decimal(str(number)) * scale % 1 for number in numbers):
        scale *= 10
    lift = 2 - min(int(Decimal(str(number)) * scale) for number in numbers)
    return lambda x: float(Decimal(str(x)) * scale + lift)


def log_of(case: Mapping[str, Any], model: str) -> Iterator[Row]:
    window, place = seconds(case["rule"]["window"]), mapping(case)
    for slot, value in case["samples"]:
        if value is None or value == "error":
            continue
        latencies = [None] * 3 if value == "NaN" else [place(value) + d for d in (-1, 0, 1)]
        for ts, latency in zip((slot - window, slot - window / 2, slot - 1), latencies, strict=True):
            yield Row(at(ts), model=model, latency=latency)


def options_of(case: Mapping[str, Any], *more: str) -> list[str]:
    place, rule = mapping(case), case["rule"]
    found = ["--metric", "avg_latency_ms", *more]
    for key, value in rule.items():
        if key in ("threshold", "recover_threshold"):
            found += [f"--{key.replace('_', '-')}", f"{place(value):g}"]
        elif key != "metric":
            found += [f"--{key.replace('_', '-')}", str(value)]
    return found


# --- state rows ----------------------------------------------------------------------------------------------------


def runs_of(case: Mapping[str, Any], name: str, detmon: Shell) -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """State and events of each run of a case."""
    samples = dict(case["samples"])
    for moment in case["eval_times"]:
        broken = samples.get(moment) == "error"
        if broken:
            detmon.monkeypatch.setenv("DETMON_FAILPOINT", f"alert.evaluate={name}")
        run = detmon("--now", text(moment), "alert", "check", name, "--json", code=4 if broken else 0).json
        detmon.monkeypatch.delenv("DETMON_FAILPOINT", raising=False)
        [instance] = [i for i in run["instances"] if i["alert"] == name]
        yield instance["state"], [(e["slot"], e["kind"]) for e in run["events"] if e["kind"] in REPORTED]


@pytest.mark.parametrize("case", of_kind("state"))
def test_state_through_the_command_line(case: dict[str, Any], detmon: Shell) -> None:
    store(detmon.folder, [*log_of(case, "m"), Row(at(-7200), model="m")])
    detmon("--now", text(0), "alert", "create", "rule", "--model", "m", *options_of(case))
    states, events = [], []
    for state, happened in runs_of(case, "rule", detmon):
        states.append(state)
        events += happened
    assert states == case["expected_states"]
    assert sorted(events) == sorted((text(slot), kind) for slot, kind in case["expected_events"])


@pytest.mark.parametrize("case", of_kind("state"))
def test_state_on_the_machine(case: dict[str, Any]) -> None:
    definition = rules.define(case["rule"], metrics=CATALOGUE)
    samples, every = dict(case["samples"]), seconds(case["rule"]["every"])
    instance, events, shown = Instance("key"), [], {}
    for slot in range(case["eval_times"][0], case["eval_times"][-1] + 1, every):
        instance, happened = machine.step(instance, definition, at(slot), outcome(samples.get(slot)))
        events += [[slot, event.kind] for event in happened if event.kind in REPORTED]
        shown[slot] = instance.state
    assert [shown[moment] for moment in case["eval_times"]] == case["expected_states"]
    assert sorted(events) == sorted(case["expected_events"])


def outcome(sample: float | str | None) -> Outcome:
    if sample == "error":
        return Outcome(kind="error", reason="broken")
    if sample is None or sample == "NaN":
        return Outcome(kind="no_data", reason="no_rows" if sample is None else "no_value")
    return Outcome(float(sample), 3)


# --- other kinds ---------------------------------------------------------------------------------------------------


def named(*names: str) -> list[Any]:
    """The cases of these names, as parameters; without the file of vectors there are none."""
    return [pytest.param(case, id=case["name"]) for case in CASES if case["name"] in names]


def slot_states(case: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> list[str]:
    """The condition at each slot, from the history of events."""
    state, found = "ok", []
    for slot, _ in case["samples"]:
        for event in events:
            if event["what"] == "event" and event["slot"] == text(slot):
                state = {"pending": "pending", "firing": "firing"}.get(event["kind"], "ok")
        found.append(state)
    return found


@pytest.mark.parametrize("case", named("asleep_55min_breach_throughout", "fired_and_resolved_while_asleep"))
def test_missed_runs_are_made_up(case: dict[str, Any], detmon: Shell) -> None:
    told = detmon.folder / "told.jsonl"
    store(detmon.folder, log_of(case, "m"))
    detmon("alert", "create", "rule", "--model", "m", *options_of(case), "--notify", f"file:{told}")
    for moment in case["runs_at"]:
        detmon("--now", text(moment), "alert", "check")
    history = detmon("alert", "history", "rule", "--json").json
    assert slot_states(case, history) == case["expected_slot_states"]
    [message], [expected] = lines(told), case["expected_messages"]
    [item] = message["items"]
    assert (message["kind"], message["sent_at"][:19]) == (expected["kind"], text(expected["run"])[:19])
    assert item["fired_at"] == text(expected["fired_at"])
    assert (message["late_by_s"] is not None) == expected.get("late", False)
    assert item["ended_at"] == (text(expected["resolved_at"]) if "resolved_at" in expected else None)


@pytest.mark.parametrize("case", named("gap_beyond_cap"))
def test_a_gap_beyond_catch_up_is_skipped(case: dict[str, Any], detmon: Shell) -> None:
    case = {**case, "samples": [[slot, 75] for slot in range(0, 172801, 300)]}
    store(detmon.folder, log_of(case, "m"))
    detmon("alert", "create", "rule", "--model", "m", *options_of(case))
    detmon("--now", text(0), "alert", "check")
    run = detmon("--now", text(172800), "alert", "check", "--json")
    assert run.err.count("skipped") == 1
    assert run.json["skipped"] == [{"alert": "rule", "from": text(300), "to": text(86100)}]
    assert [(e["slot"], e["kind"]) for e in run.json["events"]] == [(text(86400 + 600), "firing")]
    assert run.json["slots"] == 289
    assert "skipped" not in detmon("--now", text(173100), "alert", "check", "--json").err
    assert "skipped" in [row["what"] for row in detmon("alert", "history", "rule", "--json").json]


@pytest.mark.parametrize("case", of_kind("restore"))
def test_an_outage_does_not_stop_the_for_clock(case: dict[str, Any], detmon: Shell) -> None:
    plain = {"operator": "gt", "threshold": 50, "window": "300s", "every": "300s", "min_samples": 1}
    case = {**case, "rule": case["rule"] | plain, "samples": [[slot, 75] for slot in range(0, 2401, 300)]}
    store(detmon.folder, log_of(case, "m"))
    detmon("alert", "create", "rule", "--model", "m", *options_of(case))
    fired = []
    for moment in (case["pending_since"], case["last_eval"], case["restart_at"], 1200, 1500, 1800):
        run = detmon("--now", text(moment), "alert", "check", "--json").json
        fired += [event["slot"] for event in run["events"] if event["kind"] == "firing"]
    assert fired == [text(case["detmon_fires_at"])]


@pytest.mark.parametrize("case", of_kind("min_samples"))
def test_min_samples(case: dict[str, Any], detmon: Shell) -> None:
    rows = [Row(at(-number - 1), boxes=[("car", case["value"])]) for number in range(case["window_n"])]
    store(detmon.folder, rows)
    rule = case["rule"]
    detmon(
        *("alert", "create", "rule", "--model", "m", "--metric", rule["metric"], "--operator", rule["operator"]),
        *("--threshold", rule["threshold"], "--window", "1h", "--min-samples", rule["min_samples"]),
    )
    [instance] = detmon("--now", text(0), "alert", "check", "--json").json["instances"]
    assert instance["state"] == case["expected_state"]
    assert instance["health_reason"] == case.get("expected_reason")


@pytest.mark.parametrize("case", named("one_instance_per_label_set"))
def test_one_instance_a_label_set(case: dict[str, Any], detmon: Shell) -> None:
    store(
        detmon.folder,
        [
            Row(at(int(slot) - 10), source=source, boxes=[("car", value)])
            for slot, sources in case["slots"].items()
            for source, value in sources.items()
        ],
    )
    rule = case["rule"]
    detmon(
        *("alert", "create", "rule", "--model", "m", "--metric", rule["metric"], "--operator", rule["operator"]),
        *("--threshold", rule["threshold"], "--window", rule["window"], "--every", rule["every"], "--by", "source"),
        *("--min-samples", 1, "--no-data-for", rule["no_data_for"]),
    )
    states: dict[str, list[str]] = {source: [] for source in case["expected"]}
    events = []
    for slot in case["slots"]:
        run = detmon("--now", text(int(slot)), "alert", "check", "--json").json
        for instance in run["instances"]:
            states[instance["labels"]["source"]].append(instance["state"])
        events += [[int(slot), event["labels"]["source"], event["kind"]] for event in run["events"]]
    assert states == case["expected"]
    assert events == case["expected_events"]


@pytest.mark.parametrize("case", named("cardinality_limit"))
def test_too_many_label_sets_keep_every_state(case: dict[str, Any], detmon: Shell) -> None:
    limit = case["rule"]["max_instances"]
    few = [Row(at(-10), source=f"cam-{number}", latency=90.0) for number in range(limit)]
    many = [Row(at(290), source=f"cam-{number}", latency=90.0) for number in range(case["instances"])]
    store(detmon.folder, [*few, *many])
    detmon(
        *("alert", "create", "rule", "--model", "m", "--metric", "avg_latency_ms", "--operator", "gt"),
        *("--threshold", 50, "--window", "300s", "--by", "source", "--min-samples", 1),
    )
    before = detmon("--now", text(0), "alert", "check", "--json").json["instances"]
    run = detmon("--now", text(300), "alert", "check", "--json", code=4).json
    assert {instance["health"] for instance in run["instances"]} == {"error"}
    assert [instance["state"] for instance in run["instances"]] == [instance["state"] for instance in before]
    assert len(run["instances"]) == limit


# --- repeated messages ---------------------------------------------------------------------------------------------

STEP = 30
"""Slots are half a minute apart here: what was told at the first run is as old as the last message, but for that."""


@pytest.mark.parametrize("case", of_kind("dedup"))
def test_who_is_told_again(case: dict[str, Any], detmon: Shell) -> None:
    last = case["last_notified"]
    age = case["now_slot"] - last["slot"] if last and "slot" in last else (last or {}).get("age_s", STEP)
    first, second = (0, STEP) if last and last.get("resolved") else (None, 0)
    third = second + age
    runs: dict[int, list[int]] = {third: case["firing_now"]}
    if last:
        runs[second] = last["firing"]
        if first is not None:
            runs[first] = [*last["firing"], *last["resolved"]]
    everyone = {number for firing in runs.values() for number in firing} | set(case["resolved_now"])
    store(
        detmon.folder,
        [
            Row(at(slot - 1), source=str(number), latency=90.0 if number in firing else 10.0)
            for slot, firing in runs.items()
            for number in everyone
        ],
    )
    told = detmon.folder / "told.jsonl"
    detmon(
        *("alert", "create", "rule", "--model", "m", "--metric", "avg_latency_ms", "--operator", "gt"),
        *("--threshold", 50, "--window", f"{STEP}s", "--by", "source", "--min-samples", 1, "--no-data", "keep"),
        *("--repeat", case["repeat"], "--send-resolved" if case["send_resolved"] else "--no-send-resolved"),
        *("--flap", "off", "--notify", f"file:{told}", "--forget-after", "30d"),
    )
    before = 0
    for moment in sorted(runs):
        before = len(lines(told))
        detmon("--now", text(moment), "alert", "check")
    assert (len(lines(told)) > before) == case["expected_message"]


@pytest.mark.parametrize("case", of_kind("flapping"))
def test_flapping_is_told_once(case: dict[str, Any], detmon: Shell) -> None:
    rule = {**case["rule"]}
    flap = rule.pop("flap")
    assert flap["within"] == flap["quiet"]
    case = {**case, "rule": rule}
    last = case["samples"][-1][0]
    quiet = [[last + 300 * number, 75] for number in range(1, 14)]
    end = [[quiet[-1][0] + 300, 10]]
    log = {**case, "samples": [*case["samples"], *quiet, *end]}
    told = detmon.folder / "told.jsonl"
    store(detmon.folder, log_of(log, "m"))
    options = (*options_of(case), "--repeat", "never", "--notify", f"file:{told}")
    detmon(
        "alert", "create", "rule", "--model", "m", *options, "--flap", f"{flap['episodes']}/{int(flap['within'][:-1])}s"
    )
    for moment, _ in case["samples"]:
        detmon("--now", text(moment), "alert", "check")
    assert [line["kind"] for line in lines(told)] == case["expected_messages"]
    assert "--keep-firing-for 10m would have made it one episode" in lines(told)[-1]["items"][0]["reason"]
    detmon("--now", text(quiet[-1][0]), "alert", "check")
    detmon("--now", text(end[-1][0]), "alert", "check")
    later = [(line["kind"], line["items"][0]["reason"]) for line in lines(told)[len(case["expected_messages"]) :]]
    assert later == [("stable", "firing"), ("resolved", None)]
