"""What somebody on call relies on: crowds, gaps, edits, many rules and many cameras, through the front door."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from conftest import Shell
from outbox_help import lines
from stored import Row, at, store, text
from test_alerts import LOW, check, create, images, rows_of

from detmon import Client

SOURCES = ("--metric", "avg_confidence", "--operator", "lt", "--threshold", "0.7", "--window", "5m", "--by", "source")


def fleet(count: int, confidence: float = 0.3, *, start: float = -300, end: float = 0) -> list[Row]:
    """Three images of each camera in [start, end)."""
    step = (end - start) / 3
    return [
        Row(at(start + step * number), source=f"cam-{camera:05d}", boxes=[("car", confidence)])
        for camera in range(count)
        for number in range(3)
    ]


HOURLY = {"metric": "avg_confidence", "operator": "lt", "threshold": 0.7, "window": "1h", "min_samples": 1}


def make(model: str, name: str, condition: dict[str, object], targets: list[str]) -> None:
    """A rule, without a run of the program: many of them."""
    Client(now=text(0)).create_alert(model, name, condition, notify=targets)


# --- crowds --------------------------------------------------------------------------------------------------------


def test_six_threads_of_one_process_tell_once(detmon: Shell) -> None:
    told = detmon.folder / "told.jsonl"
    store(detmon.folder, images(-3600, 7200))
    create(detmon, *LOW, "--notify", f"file:{told}")
    for moment in (0, 300, 600):
        with ThreadPoolExecutor(6) as pool:
            runs = list(pool.map(lambda _, now=moment: Client(now=text(now)).check_alerts(), range(6)))  # type: ignore[misc]
        assert sum(run.slots for run in runs) == 1
    assert [line["kind"] for line in lines(told)] == ["firing"]


def crowds(detmon: Shell, rounds: int, seed: int) -> None:
    """Six checks at once, some killed on their way; every slot is evaluated once, every change told once."""
    told, chance = detmon.folder / "told.jsonl", Random(seed)
    slots = range(0, 300 * (rounds + 1), 300)
    store(
        detmon.folder,
        [Row(at(slot - 10), boxes=[("car", 0.3 if slot // 300 % 2 else 0.9)]) for slot in slots],
    )
    create(detmon, *LOW[:-1], "5m", "--flap", "off", "--min-samples", 1, "--notify", f"file:{told}")
    check(detmon, 0)
    for slot in slots[1:]:
        command = detmon.command("--now", text(slot), "alert", "check")
        crowd = [
            subprocess.Popen(command, cwd=detmon.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            for _ in range(6)
        ]
        time.sleep(chance.uniform(0, 0.8))
        for process in chance.sample(crowd, 2):
            process.kill()
        for process in crowd:
            _, errors = process.communicate(timeout=120)
            assert process.returncode in (0, -signal.SIGKILL), errors
    check(detmon, slots[-1] + 100)
    check(detmon, slots[-1] + 200)
    kinds = [kind for (kind,) in rows_of(detmon.folder, "alert_events", "kind", "seq") if kind != "pending"]
    assert kinds == [("firing", "resolved")[number % 2] for number in range(rounds)]
    seen: dict[str, bool] = {}
    for line in lines(told):
        assert line["notice_id"] not in seen or line["maybe_repeat"], line
        seen[line["notice_id"]] = True
    ends = Counter(
        (item["episode_id"], item["kind"] in ("resolved", "missed"))
        for line in {line["notice_id"]: line for line in lines(told)}.values()
        for item in line["items"]
        if item["kind"] != "firing" or item["ended_at"] is None
    )
    assert all(count == 1 for (_, over), count in ends.items() if over), ends
    assert sum(over for _, over in ends) == rounds // 2
    assert {status for (status,) in rows_of(detmon.folder, "outbox", "status")} <= {"sent", "merged"}


def test_crowds_of_which_some_die(detmon: Shell) -> None:
    crowds(detmon, 2, seed=3)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(3))
def test_many_crowds_of_which_some_die(detmon: Shell, seed: int) -> None:
    crowds(detmon, 20, seed)


def test_checks_go_on_while_a_log_is_read(detmon: Shell) -> None:
    told = detmon.folder / "told.jsonl"
    store(detmon.folder, images(-3600, 3600))
    create(detmon, *LOW, "--notify", f"file:{told}")
    box = {"label": "car", "confidence": 0.9, "bbox": [1, 1, 5, 5]}
    records = (
        {"timestamp": text(-3600 + number / 100), "image_id": f"i{number}", "detections": [box] * 3}
        for number in range(60_000)
    )
    (detmon.folder / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    reading = subprocess.Popen(
        detmon.command("--now", text(-1), "ingest", "log.jsonl", "--model", "other"),
        cwd=detmon.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    checks = [detmon.process("--now", text(300 * number), "alert", "check") for number in range(3)]
    _, errors = reading.communicate(timeout=120)
    assert (reading.returncode, [done.returncode for done in checks]) == (0, [0, 0, 0]), errors
    assert [line["kind"] for line in lines(told)] == ["firing"]


def test_a_store_that_stays_locked_is_said_and_made_up(detmon: Shell) -> None:
    told = detmon.folder / "told.jsonl"
    store(detmon.folder, images(-3600, 7200))
    create(detmon, *LOW, "--notify", f"file:{told}")
    holder = subprocess.Popen(
        [*detmon.command()[:1], "-c", HOLD, "detmon.duckdb"], cwd=detmon.folder, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    failed = detmon("--now", text(0), "--lock-timeout", "0.3", "alert", "check", code=4)
    assert str(holder.pid) in failed.err
    holder.communicate("")
    run = check(detmon, 900)
    assert [(event["slot"], event["kind"]) for event in run["events"]] == [(text(900), "firing")]
    assert [line["kind"] for line in lines(told)] == ["firing"]


HOLD = "import duckdb, sys; con = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"


# --- gaps and clocks -----------------------------------------------------------------------------------------------


def test_three_days_without_a_check(detmon: Shell) -> None:
    """What is older than catch_up is skipped and said so; what fired within it is told with its own times."""
    told, day = detmon.folder / "told.jsonl", 86_400
    bad = [(3600, 7200), (3 * day - 7200, 3 * day - 3600)]
    rows = [
        Row(at(ts), boxes=[("car", 0.3 if any(start <= ts < end for start, end in bad) else 0.9)])
        for ts in range(-300, 3 * day, 60)
    ]
    store(detmon.folder, rows)
    create(detmon, *LOW[:-1], "5m", "--min-samples", 1, "--notify", f"file:{told}")
    check(detmon, 0)
    run = check(detmon, 3 * day)
    assert run["skipped"] == [{"alert": "low", "from": text(300), "to": text(2 * day - 300)}]
    [line] = lines(told)
    [item] = line["items"]
    times = item["fired_at"], item["ended_at"]
    assert (line["kind"], times) == ("missed", (text(3 * day - 6900), text(3 * day - 3300)))


def test_a_night_with_two_hours_between_two_and_three(detmon: Shell) -> None:
    """Slots are UTC: the hour that the clocks repeat is evaluated like any other, and its times carry the offset."""
    told = detmon.folder / "told.jsonl"
    (detmon.folder / "detmon.toml").write_text('[notify]\nzone = "Europe/Madrid"\n')
    night = -127 * 86_400 - 3000  # 2023-10-28T23:10Z: 01:10 in Madrid, two hours before the clocks go back
    rows = [Row(at(night + ts), boxes=[("car", 0.3 if 3000 <= ts < 9000 else 0.9)]) for ts in range(-600, 12_000, 60)]
    store(detmon.folder, rows)
    create(detmon, *LOW[:-1], "5m", "--min-samples", 1, "--notify", f"file:{told}")
    for moment in range(0, 12_000, 300):
        check(detmon, night + moment)
    fired, resolved = lines(told)
    assert "since 2023-10-29 02:05 +02:00" in fired["text"]
    assert "fired 2023-10-29 02:05 +02:00, resolved 2023-10-29 02:45 +01:00" in resolved["text"]
    assert Counter(row["what"] for row in detmon("alert", "history", "low", "--json").json)["event"] == 3


# --- many rules, many cameras --------------------------------------------------------------------------------------


def test_a_stalled_ingest_is_one_notice_for_fifty_rules(detmon: Shell) -> None:
    told = detmon.folder / "told.jsonl"
    store(detmon.folder, [*images(-3600, 0), *images(-3600, 0, model="n")])
    for number in range(50):
        make("mn"[number % 2], f"r{number}", {**HOURLY, "threshold": 0.1, "min_samples": 30}, [f"file:{told}"])
    check(detmon, 0)
    check(detmon, 3600 + 3600)
    [line] = lines(told)
    assert (line["kind"], len(line["items"]), line["omitted"]) == ("no_data", 10, 40)
    store(detmon.folder, [*images(7200, 10_800), *images(7200, 10_800, model="n")])
    check(detmon, 10_800)
    [over] = lines(told)[1:]  # also where rows were too few to judge before there were enough
    assert (over["kind"], over["omitted"]) == ("no_data_resolved", 40)
    assert "no data 00:35, over 02:30 UTC" in over["text"]


def test_as_many_label_sets_as_are_allowed_after_an_error(detmon: Shell) -> None:
    """The stand-in of a rule whose first evaluation failed takes nobody's place."""
    store(detmon.folder, [*fleet(5), *fleet(5, start=0, end=300)])
    create(detmon, *SOURCES, "--max-instances", 5, "--min-samples", 1)
    detmon.monkeypatch.setenv("DETMON_FAILPOINT", "alert.evaluate=low")
    check(detmon, 0, code=4)
    detmon.monkeypatch.delenv("DETMON_FAILPOINT")
    assert {instance["state"] for instance in check(detmon, 300)["instances"]} == {"firing"}


def test_ten_thousand_label_sets_lose_no_state(detmon: Shell) -> None:
    store(detmon.folder, [*fleet(3), *fleet(10_000, start=0, end=300), *fleet(3, start=300, end=600)])
    create(detmon, *SOURCES, "--min-samples", 1)
    check(detmon, 0)
    run = check(detmon, 300, code=4)
    assert run["failed"] == [{"alert": "low", "error": "10000 label sets, more than max_instances = 500"}]
    assert [(i["state"], i["health"]) for i in run["instances"]] == [("firing", "error")] * 3
    run = check(detmon, 600)
    assert [(i["state"], i["health"]) for i in run["instances"]] == [("firing", "ok")] * 3


def test_an_episode_that_ends_with_its_camera_within_one_run_is_told(detmon: Shell) -> None:
    told = detmon.folder / "told.jsonl"
    store(detmon.folder, [*images(-300, 10_000, 0.9, source="a"), *images(0, 300, 0.3, source="b")])
    create(detmon, *SOURCES, "--forget-after", "30m", "--min-samples", 1, "--notify", f"file:{told}")
    check(detmon, 0)
    check(detmon, 9000)
    [line] = lines(told)
    [item] = line["items"]
    assert (line["kind"], item["labels"], item["fired_at"]) == ("missed", {"source": "b"}, text(300))
    assert item["reason"] == "series gone"


def test_a_camera_that_is_forgotten_and_comes_back_within_one_run_is_known(detmon: Shell) -> None:
    store(
        detmon.folder, [*images(-300, 0, source="b"), *images(3300, 3600, source="b"), *images(-300, 9000, source="a")]
    )
    volume = ("--metric", "prediction_count", "--operator", "lt", "--threshold", 1, "--window", "5m", "--by", "source")
    create(detmon, *volume, "--forget-after", "30m")
    check(detmon, 0)
    run = check(detmon, 3600)
    assert [(e["kind"], e["reason"]) for e in run["events"]] == [("firing", None), ("closed", "series gone")]
    assert [e["kind"] for e in check(detmon, 3900)["events"]] == ["firing"]


def test_a_camera_that_goes_dark_is_not_well(detmon: Shell) -> None:
    """Half of the fleet fires, then all of it goes dark: nobody hears that anything resolved."""
    told = detmon.folder / "told.jsonl"
    store(detmon.folder, [*fleet(6), *images(-300, 9000, 0.9, source="z")])
    create(detmon, *SOURCES, "--min-samples", 1, "--no-data-for", "10m", "--notify", f"file:{told}")
    for moment in range(0, 9000, 300):
        check(detmon, moment)
    assert [(line["kind"], len(line["items"])) for line in lines(told)] == [("firing", 6), ("no_data", 6)]
    shown = Counter(row["state"] for row in detmon("alert", "list", "--json").json)
    assert shown == {"firing": 6, "ok": 1}


# --- storms --------------------------------------------------------------------------------------------------------


def test_a_storm_is_a_digest_for_each_channel(detmon: Shell) -> None:
    storm(detmon, rules=12, cameras=10)


@pytest.mark.slow
def test_a_storm_of_three_thousand_instances(detmon: Shell) -> None:
    storm(detmon, rules=60, cameras=50)


def storm(detmon: Shell, rules: int, cameras: int) -> None:
    """All rules fire for all cameras at once, on three channels; then all resolve."""
    files = [detmon.folder / f"told-{number}.jsonl" for number in range(3)]
    targets = [f"file:{file}" for file in files]
    store(detmon.folder, [*fleet(cameras), *fleet(cameras, 0.9, start=0, end=300)])
    for number in range(rules):
        make("m", f"rule {number}", {**HOURLY, "window": "5m", "by": ["source"]}, targets)
    begun = time.monotonic()
    run = check(detmon, 0)
    assert time.monotonic() - begun < 60
    assert len(run["events"]) == rules * cameras
    check(detmon, 300)
    for file in files:
        told = lines(file)
        assert [line["kind"] for line in told] == ["digest", "digest"]
        assert [len(line["items"]) + line["omitted"] for line in told] == [rules * cameras] * 2
        assert all(len(line["text"]) <= 10_000 for line in told)
        assert f"and {rules * cameras - 10} more" in told[0]["text"]
