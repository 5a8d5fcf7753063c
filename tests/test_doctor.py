"""`detmon doctor`: every finding by a log or store that has it, and not by one that just has not."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import ROOT, Shell

from detmon.doctor import files, logs, work
from detmon.errors import ConfigError
from detmon.store import connect

NOW = datetime(2026, 11, 21)
DAY = timedelta(days=1)


def box(label: str, confidence: float | None, *sides: float) -> dict[str, Any]:
    return {"label": label, "confidence": confidence, "bbox": list(sides or (10, 20, 100, 60))}


def record(number: int, ts: datetime | None = None, **fields: Any) -> dict[str, Any]:
    """A sound record: one a minute until NOW, every tenth without a box."""
    dice = random.Random(number)
    boxes = [
        box(dice.choice(["car", "truck"]), round(dice.uniform(0.3, 0.99), 3), 200 * place, 20, 100, 60)
        for place in range(dice.randrange(1, 4) if number % 10 else 0)
    ]
    return {
        "model_id": "veh@3",
        "timestamp": ((ts or NOW - timedelta(minutes=number + 1)).isoformat() + "Z"),
        "image_id": f"{number}.jpg",
        "source": f"cam{number % 2}",
        "image_width": 640,
        "image_height": 480,
        "latency_ms": 20 + number % 7,
        "detections": boxes,
        **fields,
    }


def sound(n: int = 400) -> list[dict[str, Any]]:
    return [record(number) for number in range(n)]


class Clinic:
    """Ingests records, and asks the doctor. `stores`: those that logs have made before, each after one log."""

    def __init__(self, detmon: Shell, stores: dict[object, bytes]) -> None:
        self.detmon = detmon
        self.stores = stores
        self.logs = 0

    def ingest(self, records: Iterable[dict[str, Any]], *options: str, now: datetime = NOW) -> None:
        self.logs += 1
        path = self.detmon.folder / f"log{self.logs}.jsonl"
        text = "".join(json.dumps(one) + "\n" for one in records)
        path.write_text(text)
        store = self.detmon.folder / "detmon.duckdb"
        key = None if store.exists() else (text, options, now)
        if key in self.stores:
            store.write_bytes(self.stores[key])
            return
        self.detmon("--now", now.isoformat() + "Z", "ingest", path, *options)
        if key is not None:
            self.stores[key] = store.read_bytes()

    def __call__(self, *options: str, now: datetime = NOW, code: int = 0) -> dict[str, dict[str, Any]]:
        """The findings of the doctor that are not ok, by code."""
        found = self.detmon("--now", now.isoformat() + "Z", "doctor", "--json", *options, code=code).json["findings"]
        assert all(set(one) == {"code", "level", "message", "hint", "model_id"} for one in found)
        assert [one["level"] for one in found] == sorted(
            (one["level"] for one in found), key=["error", "warning", "info", "ok"].index
        )
        return {one["code"]: one for one in found if one["level"] != "ok"}

    def alert(self, name: str = "low", metric: str = "avg_confidence", *options: str) -> None:
        about = ("--metric", metric, "--operator", "lt", "--threshold", "0.5", "--window", "1h", *options)
        created = (NOW - DAY).isoformat() + "Z"
        self.detmon("--now", created, "alert", "create", name, "--model", "veh@3", *about)

    def sql(self, query: str, values: Any = None) -> None:
        con = connect(self.detmon.folder / "detmon.duckdb")
        con.execute(query, values)
        con.close()


@pytest.fixture(scope="module")
def stores() -> dict[object, bytes]:
    return {}


@pytest.fixture
def clinic(detmon: Shell, stores: dict[object, bytes]) -> Iterator[Clinic]:
    before = os.umask(0o077)
    yield Clinic(detmon, stores)
    os.umask(before)


def test_a_sound_log_has_no_finding(clinic: Clinic) -> None:
    clinic.ingest(sound())
    assert clinic("--exit-code") == {}


# --- logs ---------------------------------------------------------------------------------------------------------

Change = Callable[[int, dict[str, Any]], dict[str, Any]]


def every(change: Change, n: int = 400) -> list[dict[str, Any]]:
    """Sound records, each changed."""
    return [{**one, **change(number, one)} for number, one in enumerate(sound(n))]


def boxes_of(make: Callable[[int], list[dict[str, Any]]], n: int = 400) -> list[dict[str, Any]]:
    return every(lambda number, one: {"detections": make(number)}, n)


def days(make: Callable[[int, int], list[dict[str, Any]]], n: int = 10) -> list[dict[str, Any]]:
    """100 records a day over `n` days; boxes by day and place."""
    return [
        record(100 * day + place, NOW - (n - day) * DAY + timedelta(minutes=place), detections=make(day, place))
        for day in range(n)
        for place in range(100)
    ]


def scored(start: float, label: str = "car") -> list[dict[str, Any]]:
    return [box(label, round(start + step / 20, 3), 60 * step, 20, 50, 60) for step in range(3)]


def floors(moved: float) -> list[dict[str, Any]]:
    return days(lambda day, place: scored((0.2 if day < 5 else 0.2 + moved) + place / 1000))


def labels(new: float) -> list[dict[str, Any]]:
    """Labels a and b; from day 5 on b is gone, and `new` of the boxes are c."""
    return days(lambda day, place: scored(0.3, ("a" if place % 2 else "b") if day < 5 else "c" if place < new else "a"))


def hourly(hours: int, of: dict[str, Callable[[int], bool]]) -> list[dict[str, Any]]:
    """A record an hour and source, where it is on."""
    return [
        record(1000 * place + hour, NOW - timedelta(hours=hours - hour), source=source)
        for place, (source, on) in enumerate(of.items())
        for hour in range(hours)
        if on(hour)
    ]


CAR = box("car", 0.9)
LOGS: dict[str, tuple[str, list[dict[str, Any]], list[dict[str, Any]]]] = {
    # code: level, a log that has it, a log that just has not
    "no_empty_images": (
        "warning",
        boxes_of(lambda n: [CAR] * (1 + n % 10)),
        [record(1, detections=[]), *boxes_of(lambda n: [CAR] * (1 + n % 10))[2:]],
    ),
    "no_latency": (
        "info",
        every(lambda n, one: {"latency_ms": None}),
        every(lambda n, one: {"latency_ms": 5 if n == 7 else None}),
    ),
    "confidence_missing": (
        "warning",
        boxes_of(lambda n: [box("car", None if n % 50 == 1 else n / 400)] * (n % 10 > 0)),
        boxes_of(lambda n: [box("car", None if n % 200 == 1 else n / 400)] * (n % 10 > 0)),
    ),
    "confidence_constant": (
        "warning",
        boxes_of(lambda n: [CAR] * (n % 3)),
        boxes_of(lambda n: [box("car", 0.9 if n > 20 else 0.8)] * (n % 3)),
    ),
    "score_scale": (
        "warning",
        boxes_of(lambda n: [box("car", n / 40_000)] * (n % 3)),
        boxes_of(lambda n: [box("car", n / 30_000)] * (n % 3)),
    ),
    "no_image_size": (
        "info",
        every(lambda n, one: {"image_width": None}),
        every(lambda n, one: {"image_width": 640 if n == 7 else None}),
    ),
    "future_time": (
        "warning",
        [record(500, NOW + timedelta(minutes=6)), *sound()],
        [record(500, NOW + timedelta(minutes=4)), *sound()],
    ),
    "no_new_images": (
        "info",
        [record(n, NOW - 8 * DAY - timedelta(minutes=n)) for n in range(100)],
        [record(n, NOW - 6 * DAY - timedelta(minutes=n)) for n in range(100)],
    ),
    "floor_moved": ("warning", floors(0.101), floors(0.04)),
    "label_is_number": (
        "warning",
        boxes_of(lambda n: [box(str(n % 2), n / 400)] * (n % 3)),
        boxes_of(lambda n: [box("0" if n else "car", n / 400)] * (n % 3 + (n == 0))),
    ),
    "labels_alike": (
        "warning",
        boxes_of(lambda n: [box("Fire truck" if n % 4 else "fire_truck", n / 400)] * (n % 3)),
        boxes_of(lambda n: [box("truck 1" if n % 4 else "truck 2", n / 400)] * (n % 3)),
    ),
    "label_map_changed": ("warning", labels(31), labels(29)),
    "fixed_count": (
        "warning",
        boxes_of(lambda n: [box("car", n / 400, 60 * i, 0, 50, 50) for i in range(10 if n % 25 else 9)]),
        boxes_of(lambda n: [box("car", n / 400, 60 * i, 0, 50, 50) for i in range(10 if n % 15 else 9)]),
    ),
    "twin_boxes": (
        "warning",
        boxes_of(lambda n: [CAR, box("truck", n / 400)] if n % 15 == 1 else [CAR] if n % 10 else []),
        boxes_of(lambda n: [CAR, box("truck", n / 400)] if n % 101 == 1 else [CAR] if n % 10 else []),
    ),
    "duplicate_boxes": (
        "info",
        boxes_of(lambda n: [CAR, CAR] if n % 50 == 1 else [box("car", n / 400)] if n % 10 else []),
        boxes_of(lambda n: [CAR, CAR] if n % 101 == 1 else [box("car", n / 400)] if n % 10 else []),
    ),
    "overlapping_boxes": (
        "warning",
        boxes_of(lambda n: [CAR, box("car", n / 400)] if n % 15 == 1 else [CAR] if n % 10 else []),
        boxes_of(lambda n: [CAR, box("car", n / 400, 13, 20, 100, 60)] if n % 15 == 1 else [CAR] if n % 10 else []),
    ),
    "image_logged_twice": (
        "warning",
        every(lambda n, one: {"image_id": f"{n % 390}.jpg", "source": "cam"}),
        every(lambda n, one: {"image_id": f"{n % 397}.jpg", "source": "cam"}),
    ),
    "silent_sources": (
        "warning",
        hourly(24 * 6, {"north": lambda hour: True, "south": lambda hour: hour < 24 * 5 - 2}),
        hourly(24 * 6, {"north": lambda hour: True, "south": lambda hour: hour < 24 * 5 + 2}),
    ),
}


@pytest.mark.parametrize("code", LOGS)
def test_a_finding_of_logs(clinic: Clinic, code: str) -> None:
    level, broken, sound_enough = LOGS[code]
    clinic.ingest(broken)
    found = clinic("--exit-code", code=int(level == "warning"))
    assert found[code]["level"] == level
    assert found[code]["model_id"] == "veh@3"
    assert found[code]["hint"]
    (clinic.detmon.folder / "detmon.duckdb").unlink()
    clinic.ingest(sound_enough)
    assert code not in clinic()


def test_a_source_with_pauses_is_not_silent_before_three_of_them(clinic: Clinic) -> None:
    clinic.ingest(
        hourly(24 * 9, {"north": lambda hour: True, "south": lambda hour: hour < 150 and hour // 24 % 2 == 0})
    )
    assert "silent_sources" not in clinic()


def test_units_that_an_option_let_through(clinic: Clinic) -> None:
    """Ingest refuses what a whole log says; small logs, and options, come through."""
    seconds = every(lambda n, one: {"latency_ms": 0.02, "timestamp": one["timestamp"]})
    for part in range(0, 180, 90):
        clinic.ingest(seconds[part : part + 90])
    assert "seconds taken for milliseconds" in clinic()["latency_unit"]["message"]
    clinic.ingest(every(lambda n, one: {"latency_ms": 20, "image_id": f"x{n}"}, 181))
    assert "latency_unit" not in clinic()
    clinic.ingest(every(lambda n, one: {"latency_ms": 70_000_000, "image_id": f"y{n}"}, 900))
    assert "microseconds" in clinic()["latency_unit"]["message"]


def test_boxes_that_cannot_be_pixels(clinic: Clinic) -> None:
    def shares(n: int) -> list[dict[str, Any]]:
        return [box("car", n / 400, 0.1, 0.2, 0.3, 0.2)] * (n % 3)

    clinic.ingest(boxes_of(shares), "--box-format", "xywh")
    assert "shares of the image" in clinic()["box_unit"]["message"]
    (clinic.detmon.folder / "detmon.duckdb").unlink()
    clinic.ingest(boxes_of(lambda n: [box("car", n / 400, 0, 0, 641, 60 if n % 9 else 640)] * (n % 10 > 0)))
    assert "larger than their image" in clinic()["box_unit"]["message"]


def test_a_floor_that_is_logged(clinic: Clinic) -> None:
    def said(floor: float) -> list[dict[str, Any]]:
        return [
            {**one, "confidence_floor": 0.25 if day < 5 else floor}
            for day in range(10)
            for one in days(lambda *_: [CAR])[100 * day : 100 * day + 20]
        ]

    clinic.ingest(said(0.25))
    assert "floor_moved" not in clinic()
    (clinic.detmon.folder / "detmon.duckdb").unlink()
    clinic.ingest(said(0.4))
    assert "confidence_floor is 0.4 since 2026-11-16, before 0.25" in clinic()["floor_moved"]["message"]


def test_a_short_day_does_not_move_the_floor(clinic: Clinic) -> None:
    """Of few boxes the smallest score is larger by chance."""
    clinic.ingest(days(lambda day, place: scored(0.2 + place / 1000) if day or place > 90 else []))
    assert "floor_moved" not in clinic()


def test_logs_without_a_denominator(clinic: Clinic) -> None:
    path = clinic.detmon.folder / "log.csv"
    path.write_text("image_id,timestamp,label,confidence,x1,y1,x2,y2\na.jpg,2026-11-20T08:00:00Z,car,0.9,1,2,30,40\n")
    clinic.detmon("ingest", path, "--model", "veh@3")
    assert clinic()["denominator_unknown"]["message"].startswith("1 of 1 images")
    (clinic.detmon.folder / "detmon.duckdb").unlink()
    clinic.detmon("ingest", path, "--model", "veh@3", "--complete")
    assert "denominator_unknown" not in clinic()


def streamed(clinic: Clinic, lag: timedelta) -> None:
    """Three loads of ten minutes, each `lag` after its newest record."""
    for load in range(3):
        start = NOW - timedelta(minutes=10 * (4 - load))
        clinic.ingest(
            [record(100 * load + n, start + timedelta(minutes=n % 10)) for n in range(100)],
            now=start + timedelta(minutes=9) + lag,
        )


def test_rules_that_look_before_their_rows_are_there(clinic: Clinic) -> None:
    streamed(clinic, timedelta(minutes=20))
    clinic.alert("soon")
    clinic.alert("later", "detections_per_image", "--delay", "30m")
    found = clinic()
    assert "--delay 29m" in found["ingest_lag"]["hint"]
    assert "'soon'" in found["rule_too_early"]["message"]
    clinic.detmon("alert", "delete", "soon")
    assert "rule_too_early" not in clinic()


def test_rows_that_come_soon(clinic: Clinic) -> None:
    streamed(clinic, timedelta(minutes=-5))
    assert not {"ingest_lag", "out_of_order", "future_time"} & set(clinic())
    clinic.ingest([record(1000 + n, NOW - timedelta(minutes=30 + n)) for n in range(10)])
    assert clinic()["out_of_order"]["message"].startswith("10 of 310")


def test_an_old_log_at_once_has_no_lag(clinic: Clinic) -> None:
    for day in range(5):
        clinic.ingest([record(100 * day + n, NOW - (5 - day) * DAY + timedelta(minutes=n)) for n in range(100)])
    assert "ingest_lag" not in clinic()


# --- around ---------------------------------------------------------------------------------------------------------


def test_quarantine(clinic: Clinic) -> None:
    bad = {**record(1000), "timestamp": "yesterday"}
    clinic.ingest([bad, *sound(99)])
    found = clinic()["quarantine"]
    assert (found["level"], "1.00%" in found["message"], "bad_time" in found["message"]) == ("info", True, True)
    clinic.ingest([bad, {**record(1001), "image_id": ""}, *sound(5)])
    assert clinic("--exit-code", code=1)["quarantine"]["level"] == "warning"


def test_verdicts_that_wait(clinic: Clinic) -> None:
    clinic.ingest(sound(5))
    (clinic.detmon.folder / "verdicts.csv").write_text("prediction_id,feedback_type\nnobody,correct\n")
    clinic.detmon("--now", (NOW - 7 * DAY).isoformat() + "Z", "feedback", "import", "verdicts.csv")
    assert "feedback_waiting" not in clinic()
    assert "'nobody'" in clinic(now=NOW + timedelta(minutes=1))["feedback_waiting"]["message"]


def test_checks_that_do_not_run(clinic: Clinic) -> None:
    clinic.ingest(sound())
    assert not {"checks_stale", "no_heartbeat"} & set(clinic())
    clinic.alert("low", "avg_confidence", "--notify", "stdout:")
    assert "never were checked" in clinic()["checks_stale"]["message"]
    assert clinic()["no_heartbeat"]["level"] == "info"
    clinic.detmon("--now", NOW.isoformat() + "Z", "alert", "check", "--heartbeat", "http://127.0.0.1:9/", code=None)
    clinic.detmon.monkeypatch.setenv("DETMON_HEARTBEAT_URL", "http://127.0.0.1:9/")
    assert not {"checks_stale", "no_heartbeat", "rule_tells_nobody"} & set(clinic(now=NOW + timedelta(minutes=59)))
    assert "2026-11-21 00:00" in clinic(now=NOW + timedelta(minutes=61))["checks_stale"]["message"]


def test_rules_that_can_never_fire(clinic: Clinic) -> None:
    clinic.ingest(every(lambda n, one: {"latency_ms": None}))
    clinic.alert("good", "class_share", "--where", "label=car")
    assert "rule_without_rows" not in clinic()
    for name, metric, where, what in (
        ("slow", "p95_latency_ms", (), "latencies"),
        ("bus", "class_share", ("--where", "label=bus"), "'bus'"),
        ("cam9", "avg_confidence", ("--where", "source=cam9"), "'cam9'"),
    ):
        clinic.alert(name, metric, *where)
        message = clinic()["rule_without_rows"]["message"]
        assert what in message
        clinic.detmon("alert", "delete", name)
    clinic.detmon("model", "register", "none")
    about = ("--metric", "avg_confidence", "--operator", "lt", "--threshold", "1", "--window", "1h")
    clinic.detmon("alert", "create", "x", "--model", "none", *about)
    assert "without predictions" in clinic()["rule_without_rows"]["message"]
    assert clinic()["rule_tells_nobody"]["level"] == "info"


def test_baselines(clinic: Clinic) -> None:
    clinic.ingest([record(n, NOW - timedelta(hours=6 * n)) for n in range(200)])
    assert clinic()["no_baseline"]["level"] == "info"
    clinic.alert("drift", "class_drift")
    assert clinic("--exit-code", code=1)["no_baseline"]["level"] in ("warning", "info")
    period = ("--period", "2026-10-10:2026-10-20")
    clinic.detmon("--now", NOW.isoformat() + "Z", "baseline", "set", "--model", "veh@3", *period)
    assert not {"no_baseline", "old_baseline"} & set(clinic())
    clinic.ingest([record(1000, NOW + 200 * DAY)], now=NOW + 200 * DAY)
    assert clinic(now=NOW + 200 * DAY)["old_baseline"]["level"] == "info"


@pytest.mark.parametrize(("rate", "found"), [("0.05", False), ("0", True)])
def test_engines(clinic: Clinic, rate: str, found: bool) -> None:
    clinic.ingest(sound())
    (clinic.detmon.folder / "engine.toml").write_text(
        f"low_confidence = {{ enabled = true, threshold = 0.5, sample_rate = 0.5 }}\n"
        f"random_sample = {{ enabled = {str(not found).lower()}, rate = 0.05 }}\n"
    )
    clinic.detmon("dataset", "create", "review")
    clinic.detmon("engine", "configure", "--model", "veh@3", "--dataset", "review", "--file", "engine.toml")
    assert ("no_random_sample" in clinic()) is found
    assert "engine_never_ran" in clinic()
    clinic.detmon("--now", NOW.isoformat() + "Z", "engine", "run")
    assert "engine_never_ran" not in clinic()


def test_models_spelt_alike(clinic: Clinic) -> None:
    clinic.ingest([*sound(5), *every(lambda n, one: {"model_id": "veh@4"}, 5)])
    assert "models_alike" not in clinic()
    clinic.ingest(every(lambda n, one: {"model_id": "Veh@ 3"}, 5))
    assert "'Veh@ 3', 'veh@3'" in clinic()["models_alike"]["message"]


def test_dead_and_overdue_notices(clinic: Clinic) -> None:
    clinic.ingest([record(n, NOW - timedelta(minutes=n + 1)) for n in range(60)])
    clinic.alert("high", "avg_confidence", "--threshold", "1", "--notify", "webhook:ops")
    config = '[notify.webhook.ops]\nurl = "http://127.0.0.1:9/"\n'
    (clinic.detmon.folder / "detmon.toml").write_text(config)
    clinic.detmon("--now", NOW.isoformat() + "Z", "alert", "check", code=None)
    assert not {"dead_notices", "overdue_notices"} & set(clinic(now=NOW + timedelta(minutes=14)))
    assert "overdue_notices" in clinic(now=NOW + timedelta(minutes=16))
    clinic.sql("UPDATE outbox SET status = 'dead'")
    assert clinic("--exit-code", code=1)["dead_notices"]["level"] == "warning"


def test_targets_that_cannot_be_served(clinic: Clinic) -> None:
    clinic.ingest(sound())
    clinic.detmon.monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1")
    clinic.alert("low", "avg_confidence", "--notify", "slack:#ops")
    assert "target" not in clinic()
    clinic.detmon.monkeypatch.delenv("SLACK_BOT_TOKEN")
    assert "SLACK_BOT_TOKEN" in clinic()["target"]["message"] + str(clinic()["target"]["hint"])


def test_the_configuration(clinic: Clinic) -> None:
    clinic.ingest(sound())
    (clinic.detmon.folder / "detmon.toml").write_text('[drift]\nq = 0.1\n[ingest."*.csv"]\ntz = "Europe/Madrid"\n')
    assert "configuration" not in clinic()
    (clinic.detmon.folder / "detmon.toml").write_text('[drift]\nqq = 0.1\n[ingest."*.csv"]\ntz = "Europe/Madrit"\n')
    found = clinic.detmon("doctor", "--json", "--exit-code", code=1).json["findings"]
    assert sum(one["code"] == "configuration" for one in found) == 2


def test_plugins_that_do_not_load() -> None:
    around = work.Around(plugins=["plugin ntfy did not load: ImportError"])
    assert [one.level for one in work.plugins(around)] == ["warning"]
    assert list(work.plugins(work.Around())) == []
    mistake = ConfigError("x", None)
    assert [one.hint for one in work.configuration(work.Around([mistake]))] == ["detmon config check"]


# --- the store ------------------------------------------------------------------------------------------------------


def test_no_store_and_an_empty_one(clinic: Clinic) -> None:
    assert "detmon ingest" in clinic()["no_store"]["hint"]
    assert not (clinic.detmon.folder / "detmon.duckdb").exists()
    clinic.detmon("model", "register", "veh")
    assert set(clinic("--exit-code")) == {"empty"}


def test_sums_that_are_not_those_of_the_rows(clinic: Clinic) -> None:
    clinic.ingest(sound())
    assert "rollups_differ" not in clinic("--full")
    clinic.sql("UPDATE rollup_images SET n = n + 1 WHERE hour = (SELECT max(hour) FROM rollup_images)")
    assert clinic("--exit-code", code=1)["rollups_differ"]["level"] == "error"


def test_the_newest_sums_are_proven_first(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.ingest(sound())
    monkeypatch.setattr("detmon.doctor.facts.VERIFIED_IMAGES", 100)
    clinic.sql("UPDATE rollup_classes SET s = s + 1 WHERE hour = (SELECT min(hour) FROM rollup_classes)")
    assert "rollups_differ" not in clinic()
    assert "rollups_differ" in clinic("--full")


def test_images_without_latency_have_none_in_the_sums(clinic: Clinic) -> None:
    """Stores of before the fix are mended by the migration."""
    clinic.ingest(every(lambda n, one: {"latency_ms": 20 if n % 4 else None}, 40))
    ask = (
        "sql",
        "SELECT sum(latency_n) AS n, sum(latency_s) AS s, sum(latency_ss) AS ss FROM rollup_images",
        "--format",
    )
    right = clinic.detmon(*ask, "json").json
    assert right[0]["n"] == 30
    clinic.sql(
        "UPDATE rollup_images SET latency_n = latency_n + 2, latency_s = latency_s + 2 * 1000000000000000, "
        "latency_ss = latency_ss + 2 * CAST(1000000000000000 AS HUGEINT) * 1000000000000000"
    )
    clinic.sql((ROOT / "detmon" / "store" / "migrations" / "007_latency.sql").read_text("utf-8"))
    assert clinic.detmon(*ask, "json").json == right
    assert "rollups_differ" not in clinic()


def test_a_file_that_is_no_store(clinic: Clinic) -> None:
    (clinic.detmon.folder / "detmon.duckdb").write_text("image_id,label\n")
    assert "not a detmon store" in clinic(code=4)["store_unreadable"]["message"]


def test_the_database_of_somebody_else(clinic: Clinic) -> None:
    con = connect(clinic.detmon.folder / "detmon.duckdb")
    con.execute("CREATE TABLE t(a INTEGER)")
    con.close()
    for options in ((), ("--exit-code",)):
        assert "not a detmon store" in clinic(*options, code=4)["store_unreadable"]["message"]


def test_a_damaged_store(clinic: Clinic) -> None:
    clinic.ingest(sound(2000))
    path = clinic.detmon.folder / "detmon.duckdb"
    content = bytearray(path.read_bytes())
    for place in range(12_288, len(content), 997):
        content[place] ^= 0xFF
    path.write_bytes(content)
    found = clinic("--exit-code", code=4)
    assert {"store_unreadable", "store_damaged"} & set(found)


def test_a_locked_store(clinic: Clinic) -> None:
    clinic.ingest(sound(5))
    con = connect(clinic.detmon.folder / "detmon.duckdb")
    try:
        done = clinic.detmon.process("--lock-timeout", "0.2", "doctor")
    finally:
        con.close()
    assert (done.returncode, b"is in use by" in done.stderr) == (4, True)


def test_a_newer_schema(clinic: Clinic) -> None:
    clinic.ingest(sound(5))
    clinic.sql("INSERT INTO migrations VALUES (99, 'x')")
    assert clinic("--exit-code", code=1)["schema_version"]["level"] == "error"


def test_what_a_killed_process_left(clinic: Clinic) -> None:
    clinic.ingest(sound(5))
    assert "wal_left" not in clinic()
    place = files.look(Path("detmon.duckdb"), [])
    (clinic.detmon.folder / "detmon.duckdb.wal").write_bytes(b"")
    assert list(files.left_over(place)) == []
    assert [one.level for one in files.left_over(SimpleNamespace(**{**vars(place), "wal": 5}))] == ["info"]  # type: ignore[arg-type]


def test_modes(clinic: Clinic) -> None:
    clinic.ingest(sound(5))
    path = clinic.detmon.folder / "detmon.duckdb"
    for mode, level in ((0o600, None), (0o640, None), (0o644, "info"), (0o660, "warning"), (0o666, "warning")):
        path.chmod(mode)
        assert clinic().get("file_mode", {}).get("level") == level


def test_secrets_in_a_file_for_everybody(clinic: Clinic) -> None:
    path = clinic.detmon.folder / "detmon.toml"
    path.write_text('[notify.slack]\ntoken = "xoxb-secret"\n')
    path.chmod(0o600)
    assert "secrets_readable" not in clinic()
    path.chmod(0o640)
    found = clinic()["secrets_readable"]
    assert "xoxb" not in json.dumps(found)
    path.write_text('[notify.slack]\ntoken = "env:SLACK_BOT_TOKEN"\n')
    assert "secrets_readable" not in clinic()


def place(**about: Any) -> files.Place:
    return files.Place(
        **{
            "path": Path("x.duckdb"), "size": 5 * files.GIB, "mode": 0o600, "wal": 0, "free": 5 * files.GIB,
            "writable": True, "file_system": "ext4", "secret_files": (), **about,
        }
    )  # fmt: skip


def test_the_disk_and_its_file_system(tmp_path: Path) -> None:
    assert list(files.room(place())) == []
    assert [one.level for one in files.room(place(free=files.GIB - 1))] == ["warning"]
    assert [one.level for one in files.room(place(free=files.GIB // 11))] == ["error"]
    assert list(files.room(place(size=30 * files.GIB, free=2 * files.GIB)))
    assert list(files.file_system(place())) == []
    for kind in ("nfs4", "cifs", "fuse.sshfs", "9p"):
        assert [one.code for one in files.file_system(place(file_system=kind))] == ["network_file_system"]
    mounts = tmp_path / "mounts"
    mounts.write_text("a / ext4 rw 0 0\nserver:/x /mnt/logs nfs4 rw 0 0\n")
    assert files._file_system(Path("/mnt/logs/deep"), mounts) == "nfs4"
    assert files._file_system(Path("/mnt/logs2"), mounts) == "ext4"
    assert files._file_system(Path("/mnt"), tmp_path / "none") == ""
    assert [one.level for one in files.permissions(place(writable=False))] == ["error"]


@pytest.mark.parametrize(("version", "found"), [("1.4.4", 1), ("1.5.5", 0), ("2.0.0", 0), ("2.7.1", 0), ("3.0.0", 1)])
def test_versions_of_duckdb(version: str, found: int) -> None:
    assert len(list(files.engine(version))) == found


# --- as it is used --------------------------------------------------------------------------------------------------


def test_what_a_person_reads(clinic: Clinic) -> None:
    clinic.ingest(boxes_of(lambda n: [CAR] * (n % 3)))
    told = clinic.detmon("doctor").out
    assert told.startswith("warning: veh@3: ")
    assert "  hint: " in told
    assert "checks found nothing (-v names them)" in told
    assert "ok: the store is on a local disk" in clinic.detmon("-v", "doctor").out


def test_one_model_only(clinic: Clinic) -> None:
    clinic.ingest([*sound(), *every(lambda n, one: {"model_id": "bad", "latency_ms": None})])
    assert "no_latency" in clinic()
    assert "no_latency" not in clinic("--model", "veh@3")
    assert "did you mean 'veh@3'" in clinic.detmon("doctor", "--model", "veh3", code=2).err


REAL = {
    "cameratrap/model_v0_log": {"twin_boxes"},
    "opendatacam/junction_log": set(),
    "bdd100k/log": {"twin_boxes"},
    "kitti/rrc_log": set(),
    "mot15/TUD-Stadtmitte_log": set(),
    "voc/log": set(),
}


@pytest.mark.parametrize("log", REAL)
def test_real_logs(clinic: Clinic, data: Path, log: str) -> None:
    clinic.detmon("ingest", data / f"{log}.parquet")
    found = clinic.detmon("doctor", "--json").json["findings"]
    assert {one["code"] for one in found if one["level"] in ("warning", "error")} == REAL[log]


def test_delays_as_options_take_them() -> None:
    seconds = (1, 60, 61, 3599, 3600)
    assert [logs.covering(timedelta(seconds=n)) for n in seconds] == ["1m", "1m", "2m", "1h", "1h"]
