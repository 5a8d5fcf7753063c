"""Rules and checks, through the front door."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import Result, Shell
from outbox_help import lines
from stored import Row, at, store, text

from detmon import Client
from detmon.alerts.outcomes import chance_of_more

LOW = ("--metric", "avg_confidence", "--operator", "lt", "--threshold", "0.7", "--window", "1h")


def create(detmon: Shell, *options: object, name: str = "low", model: str = "m", code: int = 0) -> Result:
    return detmon("alert", "create", name, "--model", model, *(options or LOW), code=code)


def check(detmon: Shell, seconds: float, *options: object, code: int = 0) -> Any:
    return detmon("--now", text(seconds), "alert", "check", "--json", *options, code=code).json


def images(
    start: float, end: float, confidence: float = 0.6, *, step: float = 60, source: str | None = None, model: str = "m"
) -> list[Row]:
    """An image every `step` seconds in [start, end), a car in each."""
    times = range(int(start), int(end), int(step))
    return [Row(at(ts), model=model, source=source, latency=20.0, boxes=[("car", confidence)]) for ts in times]


def rows_of(folder: Path, table: str, columns: str = "*", order: str = "ALL") -> list[tuple[Any, ...]]:
    with duckdb.connect(str(folder / "detmon.duckdb"), read_only=True) as con:
        return con.execute(f"SELECT {columns} FROM {table} ORDER BY {order}").fetchall()


# --- making rules --------------------------------------------------------------------------------------------------


def test_the_calls_of_python_users(detmon: Shell) -> None:
    store(detmon.folder, images(-3600, 0))
    client = Client(now=text(0))
    alert = client.create_alert(
        model_id="m",
        name="Low Confidence Alert",
        condition={"metric": "avg_confidence", "operator": "lt", "threshold": 0.7, "window": "1h"},
        notify=["email:team@company.com", "slack:#ml-alerts"],
    )
    assert alert["notify"] == ("email:team@company.com", "slack:#ml-alerts")
    assert (alert.for_, alert["for"], alert.every, alert.no_data_for) == ("0s", "0s", "5m", "1h")
    again = client.create_alert(
        model_id="m",
        name="High Latency Alert",
        condition={"metric": "p95_latency_ms", "operator": "gt", "threshold": 100, "window": "15m", "min_samples": 5},
    )
    assert (again.notify, again.min_samples) == ((), 5)
    found = client.check_alerts()
    assert [(event.alert, event.kind) for event in found.events] == [("Low Confidence Alert", "firing")]
    assert found.delivery.queued == 2


def test_the_same_rule_again_is_the_same(detmon: Shell) -> None:
    store(detmon.folder, images(-3600, 0))
    first = create(detmon).out
    assert create(detmon).out == first
    failed = create(detmon, *LOW, "--for", "10m", code=2)
    assert "differs in for" in failed.err
    assert "--replace" in failed.err
    assert create(detmon, *LOW, "--for", "10m", "--replace").out == first
    shown = detmon("alert", "show", "low", "--json").json
    assert (shown["for"], shown["version"]) == ("10m", 2)
    create(detmon, *LOW, "--for", "10m", "--severity", "critical", "--replace")
    assert detmon("alert", "show", "low", "--json").json["version"] == 2  # state is kept


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--metric", "avg_confidense"), "did you mean 'avg_confidence'?"),
        (("--operator", "less"), "unknown operator 'less'"),
        (("--operator", "<="), "did you mean 'le'?"),
        (("--forget-after", "0s"), "forget_after must be longer than nothing"),
        (("--threshold", "nan"), "threshold: 'nan' is not a finite number"),
        (("--threshold", "inf"), "threshold: 'inf' is not a finite number"),
        (("--recover-threshold", "0.6"), "recover_threshold 0.6"),
        (("--window", "-1h"), "window: '-1h' is not a duration"),
        (("--window", "0s"), "window must be longer than nothing"),
        (("--every", "10ms"), "every must be at least 1s"),
        (("--by", "sauce"), "did you mean 'source'?"),
        (("--where", "source"), "NAME=VALUE"),
        (("--metric", "no_detection_rate", "--by", "label"), "metric of images"),
        (("--metric", "class_share"), "class_share needs a label"),
        (("--no-data", "okay"), "did you mean 'ok'?"),
        (("--severity", "warn"), "did you mean 'warning'?"),
        (("--runbook", "ftp://x"), "no http(s) address"),
        (("--notify", "slak:#x"), "slack"),
        (("--notify", "email:nobody"), "email"),
        (("--flap", "once"), "flap"),
    ],
)
def test_a_wrong_rule_is_refused(options: tuple[str, ...], said: str, detmon: Shell) -> None:
    store(detmon.folder, images(-3600, 0))
    given = dict(zip(LOW[::2], LOW[1::2], strict=True)) | dict(zip(options[::2], options[1::2], strict=True))
    failed = create(detmon, *(part for pair in given.items() for part in pair), code=2)
    assert said in failed.err
    assert detmon("alert", "list", "--json").json == []


def test_names(detmon: Shell) -> None:
    store(detmon.folder, [*images(-3600, 0), *images(-3600, 0, model="n")])
    assert "unknown model 'mm'" in create(detmon, model="mm", code=2).err
    create(detmon, model="m")
    create(detmon, model="n")
    assert "fits 2 alerts" in detmon("alert", "show", "low", code=2).err
    assert detmon("alert", "show", "low", "--model", "n", "--json").json["model_id"] == "n"
    assert "did you mean 'low'?" in detmon("alert", "show", "lov", code=2).err
    assert "unknown alert" in detmon("alert", "check", "nothing", code=2).err
    assert "unknown model 'mm'" in detmon("alert", "check", "--model", "mm", code=2).err


# --- the life of an alert ------------------------------------------------------------------------------------------


def test_paused_and_removed_rules_close_what_is_open(detmon: Shell) -> None:
    told = detmon.folder / "told.jsonl"
    store(detmon.folder, images(-3600, 7200))
    create(detmon, *LOW, "--notify", f"file:{told}")
    assert [e["kind"] for e in check(detmon, 0)["events"]] == ["firing"]
    detmon("--now", text(60), "alert", "disable", "low")
    run = check(detmon, 300)
    assert (run["rules"], run["events"], run["instances"]) == (0, [], [])
    assert [(line["kind"], line["items"][0]["reason"]) for line in lines(told)] == [
        ("firing", None),
        ("closed", "rule paused"),
    ]
    assert [row["state"] for row in detmon("alert", "list", "--json").json] == ["paused"]
    detmon("--now", text(3000), "alert", "enable", "low")
    run = check(detmon, 3600)
    assert [event["slot"] for event in run["events"]] == [text(3000)]  # the pause is not made up
    detmon("--now", text(3700), "alert", "delete", "low")
    check(detmon, 3900)
    assert [line["kind"] for line in lines(told)] == ["firing", "closed", "firing", "closed"]
    assert detmon("alert", "list", "--json").json == []
    [(id,)] = rows_of(detmon.folder, "alerts", "id")
    kinds = [row["kind"] for row in detmon("alert", "history", id, "--json").json if row["what"] == "event"]
    assert kinds == ["pending", "firing", "closed", "pending", "firing", "closed"]


def test_tables_leave_out_what_is_empty(detmon: Shell) -> None:
    store(detmon.folder, images(-3600, 0))
    create(detmon)
    check(detmon, 0)
    header, _, row = detmon("alert", "list").out.splitlines()
    assert header.split() == ["name", "state", "value", "since", "rule", "n", "model_id"]
    assert " ".join(row.split()) == "low firing 0.6 2024-03-04 00:00Z avg_confidence lt 0.7 over 1h 60 m"
    assert "labels" in detmon("alert", "list", "--format", "csv").out
    header, _, *rows = detmon("alert", "history", "low").out.splitlines()
    assert header.split() == ["slot", "what", "value", "n"]
    assert [row.split()[2] for row in rows] == ["pending", "firing"]


def test_a_check_of_a_paused_rule_says_so(detmon: Shell) -> None:
    store(detmon.folder, images(-3600, 0))
    create(detmon)
    create(detmon, name="other")
    detmon("alert", "disable", "low")
    assert check(detmon, 0, "low")["warnings"] == ["low is paused: `detmon alert enable` goes on with it"]
    assert check(detmon, 0)["warnings"] == []


def test_a_changed_rule_starts_anew(detmon: Shell) -> None:
    told = detmon.folder / "told.jsonl"
    store(detmon.folder, images(-3600, 7200))
    create(detmon, *LOW, "--notify", f"file:{told}")
    check(detmon, 0)
    changed = (*LOW, "--notify", f"file:{told}", "--recover-threshold", "0.8", "--replace")
    detmon("--now", text(200), "alert", "create", "low", "--model", "m", *changed)
    run = check(detmon, 300)
    assert [event["kind"] for event in run["events"]] == ["firing"]
    _, told_since = lines(told)  # what waited for the target is one message
    assert sorted((item["kind"], item["reason"]) for item in told_since["items"]) == [
        ("closed", "rule changed"),
        ("firing", None),
    ]


def test_reminders_count_slots(detmon: Shell) -> None:
    told = detmon.folder / "told.jsonl"
    store(detmon.folder, images(-3600, 7200))
    create(detmon, *LOW, "--repeat", "10m", "--notify", f"file:{told}")
    for moment in (0, 301, 599, 601, 900, 1299, 1300):
        check(detmon, moment)
    assert [(line["kind"], line["items"][0]["detail"].get("count")) for line in lines(told)] == [
        ("firing", None),
        ("reminder", 1),
        ("reminder", 2),
    ]


def test_a_stalled_store_is_told_once_for_all_rules(detmon: Shell) -> None:
    told = detmon.folder / "told.jsonl"
    store(detmon.folder, [*images(-3600, 0), *images(-3600, 0, model="n"), *images(0, 7200, model="n")])
    for name in ("one", "two"):
        create(detmon, *LOW, "--notify", f"file:{told}", "--no-data-for", "0s", "--repeat", "never", name=name)
    create(detmon, *LOW, "--notify", f"file:{told}", "--no-data-for", "0s", "--repeat", "never", name="x", model="n")
    check(detmon, 0)
    count = len(lines(told))
    run = check(detmon, 3600)
    assert {i["health_reason"] for i in run["instances"] if i["model_id"] == "m"} == {"model_silent"}
    [silent] = lines(told)[count:]
    assert (silent["kind"], len(silent["items"])) == ("no_data", 2)
    run = check(detmon, 20000)
    assert {i["health_reason"] for i in run["instances"]} == {"ingest_stalled"}
    assert {i["state"] for i in run["instances"]} == {"firing"}  # held: missing data is no evidence
    [stalled] = lines(told)[count + 1 :]
    assert [item["alert"] for item in stalled["items"]] == ["x"]


def test_a_dark_camera_is_seen_and_forgotten(detmon: Shell) -> None:
    store(detmon.folder, [*images(-3600, 40000, step=600, source="a"), *images(-3600, 0, step=600, source="b")])
    volume = ("--metric", "prediction_count", "--operator", "lt", "--threshold", 1, "--window", "1h", "--by", "source")
    create(detmon, *volume, "--forget-after", "2h", "--every", "1h")
    assert {tuple(i["labels"].values()): i["value"] for i in check(detmon, 0)["instances"]} == {("a",): 6, ("b",): 6}
    run = check(detmon, 3600)
    assert [(e["labels"], e["kind"], e["value"]) for e in run["events"]] == [({"source": "b"}, "firing", 0)]
    run = check(detmon, 7200)
    assert [(e["labels"], e["kind"], e["reason"]) for e in run["events"]] == [
        ({"source": "b"}, "closed", "series gone")
    ]
    assert [i["labels"] for i in run["instances"]] == [{"source": "a"}]


def test_a_failing_rule_does_not_stop_the_others(detmon: Shell) -> None:
    store(detmon.folder, images(-3600, 7200))
    (detmon.folder / "detmon.toml").write_text(
        '[metrics.good]\nsql = "avg(latency_ms)"\nover = "predictions"\n'
        '[metrics.bad]\nsql = "avg(nothing)"\nover = "predictions"\n'
        '[metrics.nosy]\nsql = "count(*) + (SELECT count(*) FROM read_text(\'/etc/hostname\'))"\nover = "predictions"\n'
    )
    for name in ("good", "bad", "nosy"):
        create(detmon, "--metric", name, "--operator", "gt", "--threshold", 5, "--window", "1h", name=name)
    run = detmon("--now", text(0), "alert", "check", "--json", code=4)
    assert [event["alert"] for event in run.json["events"]] == ["good"]
    errors = {failure["alert"]: failure["error"] for failure in run.json["failed"]}
    assert "nothing" in errors["bad"]
    assert "disabled" in errors["nosy"]
    assert run.err.count("error: ") == 2
    states = {i["alert"]: i["state"] for i in run.json["instances"]}
    assert states == {"good": "firing", "bad": "error", "nosy": "error"}
    (detmon.folder / "detmon.toml").write_text("")
    run = detmon("--now", text(300), "alert", "check", "--json", code=4)
    assert "unknown metric" in run.json["failed"][0]["error"]


def test_the_clock_may_go_back(detmon: Shell) -> None:
    store(detmon.folder, images(-3600, 7200))
    create(detmon)
    check(detmon, 3600)
    run = detmon("--now", text(0), "alert", "check", "--json")
    assert run.err.count("the clock went back") == 1
    assert run.json["slots"] == 0
    assert [i["state"] for i in run.json["instances"]] == ["firing"]


def test_delay_waits_for_late_rows(detmon: Shell) -> None:
    store(detmon.folder, images(-7200, 7200))
    create(detmon, *LOW, "--delay", "10m")
    assert [e["slot"] for e in check(detmon, 3600)["events"]] == [text(3000)]


def test_late_rows_are_said_once(detmon: Shell) -> None:
    def log(name: str, *times: float) -> str:
        detections = [{"label": "car", "confidence": 0.9, "bbox": [1, 1, 5, 5]}]
        records = [{"timestamp": text(ts), "image_id": f"{name}-{ts}", "detections": detections} for ts in times]
        (detmon.folder / name).write_text("".join(json.dumps(record) + "\n" for record in records))
        return name

    detmon("--now", text(-60), "ingest", log("a.jsonl", *range(-3600, -60, 60)), "--model", "m")
    create(detmon)
    assert check(detmon, 0)["warnings"] == []
    late = log("b.jsonl", *range(-1200, -600, 60), *range(10, 290, 30), 4000)
    detmon("--now", text(200), "ingest", late, "--model", "m")
    behind, ahead = check(detmon, 300)["warnings"]
    assert (
        behind == "m: 10 of 21 new rows came after their slots were evaluated; 95 % of all came within 22m20s: "
        "--delay 23m would have waited for these"
    )
    assert ahead == "m: 1 new rows are later than the clock by more than 5 minutes (clock_skew)"
    assert check(detmon, 600)["warnings"] == []
    history = log("c.jsonl", *range(-30 * 86400, -20 * 86400, 3600))
    detmon("--now", text(700), "ingest", history, "--model", "m")
    [brought] = check(detmon, 900)["warnings"]
    assert brought.startswith(
        "m: 240 of 240 new rows came after their slots were evaluated; 95 % of all came within 29d"
    )
    assert brought.endswith(": detmon alert history NAME --recompute shows what they would have changed")


def test_where_and_tags_are_values(detmon: Shell) -> None:
    hostile = "x' OR true --"
    store(
        detmon.folder,
        [Row(at(-10 * n), tags=[("site", hostile if n % 2 else "b")], boxes=[("car", 0.2)]) for n in range(1, 101)],
    )
    create(detmon, *LOW, "--by", "tag:site")
    labels = [event["labels"] for event in check(detmon, 0)["events"]]
    assert labels == [{"tag:site": "b"}, {"tag:site": hostile}]
    create(detmon, *LOW, "--where", f"tag:site={hostile}", name="one")
    create(detmon, *LOW, "--where", "tag:site=nobody' OR '1'='1", name="none")
    found = {i["alert"]: (i["state"], i["n"]) for i in check(detmon, 300)["instances"] if i["alert"] != "low"}
    assert found == {"one": ("firing", 50), "none": ("no_data", None)}


@pytest.mark.parametrize(
    ("operator", "slow", "n", "state"),
    [
        ("gt", 0, 100, "ok"),
        ("gt", 1, 100, "ok"),
        ("gt", 2, 100, "no_data"),
        ("gt", 5, 100, "firing"),
        ("gt", 5, 19, "no_data"),
        ("lt", 0, 100, "no_data"),
    ],
)
def test_a_quantile_of_few_images_must_be_decisive(operator: str, slow: int, n: int, state: str, detmon: Shell) -> None:
    latencies = [900.0] * slow + [20.0] * (n - slow)
    store(detmon.folder, [Row(at(-1 - number), latency=latency) for number, latency in enumerate(latencies)])
    create(detmon, "--metric", "p99_latency_ms", "--operator", operator, "--threshold", 500, "--window", "1h")
    [instance] = check(detmon, 0)["instances"]
    assert instance["state"] == state
    if state == "no_data":
        assert instance["hint"].startswith(f"n {n} < 1000: use p")


def test_the_binomial_tail() -> None:
    from scipy.stats import binom

    for n, share, k in ((100, 0.01, 1), (100, 0.01, 5), (999, 0.01, 20), (20, 0.5, 0), (50, 0.1, 50)):
        assert chance_of_more(n, share, k) == pytest.approx(binom.sf(k - 1, n, share), rel=1e-9)


# --- output --------------------------------------------------------------------------------------------------------


def test_output_and_exit_codes(detmon: Shell) -> None:
    store(detmon.folder, images(-3600, 3600))
    detmon("--now", text(0), "status", "--max-age", "15m", "--exit-code", code=3)
    create(detmon)
    create(detmon, *LOW, "--where", "source=nowhere", name="none")
    looked = detmon("--now", text(0), "alert", "check", "--dry-run")
    assert looked.out == "FIRING  low  m  avg_confidence 0.6 lt 0.7  n 60  since 2024-03-04T00:00Z\n" + (
        "NO_DATA  none  m  no_rows  since 2024-03-04T00:00Z\n" if "NO_DATA" in looked.out else ""
    )
    assert rows_of(detmon.folder, "alert_runs") == []
    detmon("--now", text(0), "alert", "check", "low", "--exit-code", code=1)
    detmon("--now", text(0), "alert", "check", "--exit-code", code=3)
    assert detmon("--now", text(0), "alert", "check").out == ""
    detmon("--now", text(60), "status", "--max-age", "15m", "--exit-code")
    detmon("--now", text(3600), "status", "--max-age", "15m", "--exit-code", code=1)
    status = detmon("status", "--json").json
    assert status["alerts"] == {"firing": 1, "pending": 0, "ok": 0, "no_data": 1, "error": 0}
    assert status["models"] == [
        {
            "model_id": "m",
            "predictions": 120,
            "detections": 120,
            "sources": 0,
            "classes": 1,
            "pruned": 0,
            "pruned_before": None,
            "first": text(-3600),
            "last": text(3540),
        }
    ]
    keys = ["id", "name", "model_id", "metric", "operator", "threshold", "window", "state", "health", "value", "n"]
    keys += ["since", "labels", "detail", "held_by", "health_reason", "hint"]
    assert list(detmon("alert", "list", "--json").json[0]) == keys


def test_a_check_loads_no_heavy_library(detmon: Shell) -> None:
    store(detmon.folder, images(-3600, 3600))
    create(detmon)
    detmon("--now", text(0), "alert", "check", "--no-send")
    code = (
        "import sys\n"
        "from detmon.cli.app import run\n"
        f"assert run(['--now', {text(300)!r}, 'alert', 'check']) == 0\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [*detmon.command()[:1], "-c", code], cwd=detmon.folder, capture_output=True, text=True, check=True
    )
    assert not set(done.stdout.split()) & {"scipy", "pyarrow", "numpy", "rich", "requests", "smtplib", "detmon_slack"}


def test_the_heartbeat(detmon: Shell) -> None:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    asked: list[str] = []

    class Watchdog(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Watchdog)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/ping"
    try:
        store(detmon.folder, images(-3600, 3600))
        create(detmon)
        check(detmon, 0, "--heartbeat", url)
        detmon.monkeypatch.setenv("DETMON_HEARTBEAT_URL", "")
        secrets = detmon.folder / "secrets.env"
        secrets.write_text(f"DETMON_HEARTBEAT_URL={url}\n")
        secrets.chmod(0o600)
        detmon("alert", "check", "nothing", "--env-file", secrets, code=2)
    finally:
        server.shutdown()
        server.server_close()
    assert asked == ["/ping/start", "/ping", "/ping/start", "/ping/fail"]
    failed = detmon("--now", text(600), "alert", "check")  # nobody listens any more
    assert failed.err.count("the heartbeat failed") == 2


# --- many processes, and processes that die ------------------------------------------------------------------------


def start(detmon: Shell, seconds: float, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        detmon.command("--now", text(seconds), "alert", "check"),
        cwd=detmon.folder,
        env={**os.environ, **(env or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def consistent(folder: Path, slots: Sequence[float], told: Path) -> None:
    """Each slot evaluated once; one firing, known and told exactly once."""
    assert [slot for (slot,) in rows_of(folder, "alert_evaluations", "slot")] == [at(slot) for slot in slots]
    assert [kind for (kind,) in rows_of(folder, "alert_events", "kind", "seq")] == ["pending", "firing"]
    assert len({line["notice_id"] for line in lines(told)}) == 1


def test_six_checks_at_once_are_one(detmon: Shell) -> None:
    told = detmon.folder / "told.jsonl"
    store(detmon.folder, images(-3600, 7200))
    create(detmon, *LOW, "--notify", f"file:{told}")
    for moment in (0, 600):
        processes = [start(detmon, moment) for _ in range(6)]
        for process in processes:
            _, err = process.communicate(timeout=120)
            assert process.returncode == 0, err
    consistent(detmon.folder, [0, 300, 600], told)
    assert len(lines(told)) == 1


def test_checks_of_one_process_do_not_meet(detmon: Shell) -> None:
    """Threads share DuckDB's file lock; the primary key of the evaluations keeps them apart."""
    from concurrent.futures import ThreadPoolExecutor

    told = detmon.folder / "told.jsonl"
    store(detmon.folder, images(-3600, 7200))
    create(detmon, *LOW, "--notify", f"file:{told}")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: Client(now=text(0)).check_alerts(send=False), range(4)))
    assert sum(len(run.events) for run in found) == 1
    check(detmon, 0)
    consistent(detmon.folder, [0], told)


@pytest.mark.parametrize(
    "failpoint", ["check.in_tx", "check.before_outbox", "check.before_commit", "check.after_commit"]
)
def test_killed_at_a_failpoint(failpoint: str, detmon: Shell) -> None:
    told = detmon.folder / "told.jsonl"
    store(detmon.folder, images(-3600, 7200))
    create(detmon, *LOW, "--notify", f"file:{told}")
    died = start(detmon, 0, {"DETMON_FAILPOINT": failpoint})
    died.communicate(timeout=120)
    assert died.returncode == -signal.SIGKILL
    assert lines(told) == []
    check(detmon, 0)
    consistent(detmon.folder, [0], told)
    assert len(lines(told)) == 1


def killed_at_random(detmon: Shell, times: int, longest: float) -> None:
    told = detmon.folder / "told.jsonl"
    store(detmon.folder, images(-3600, 7200))
    create(detmon, *LOW, "--notify", f"file:{told}")
    chance = random.Random(20)
    slots = [300 * number for number in range(times + 1)]
    for slot in slots[:-1]:
        process = start(detmon, slot)
        try:
            process.communicate(timeout=chance.uniform(0, longest))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
    check(detmon, slots[-1])
    found = [slot for (slot,) in rows_of(detmon.folder, "alert_evaluations", "slot")]
    assert found == [at(slot) for slot in slots[slots.index(int((found[0] - at(0)).total_seconds())) :]]
    assert [kind for (kind,) in rows_of(detmon.folder, "alert_events", "kind", "seq")] == ["pending", "firing"]
    assert len({line["notice_id"] for line in lines(told) if line["kind"] == "firing"}) == 1
    statuses = {status for (status,) in rows_of(detmon.folder, "outbox", "status")}
    assert statuses == {"sent"}


def test_killed_at_random_moments(detmon: Shell) -> None:
    killed_at_random(detmon, 4, 0.6)


@pytest.mark.slow
def test_killed_at_many_random_moments(detmon: Shell) -> None:
    killed_at_random(detmon, 24, measured_run(detmon) * 1.2)


def measured_run(detmon: Shell) -> float:
    begun = time.monotonic()
    detmon.process("--version")
    return 4 * (time.monotonic() - begun)
