"""Operator `anomaly`: scores, the same clock time of the days before, and what is said of it."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from conftest import Shell
from outbox_help import lines
from scipy import stats
from stored import Row, at, store, text

from detmon.alerts import anomaly as alerts
from detmon.alerts import machine, rules
from detmon.alerts.machine import Instance, Outcome
from detmon.metrics import CATALOGUE
from detmon.metrics.usual import scale_of
from detmon.stats import anomaly
from detmon.times import UTC

DAY = 86400
RULE = {"metric": "avg_confidence", "operator": "anomaly", "window": "1h"}

# --- scores --------------------------------------------------------------------------------------------------------


def test_a_score_is_the_t_tail_of_the_distance_on_the_normal_scale() -> None:
    history = [0.80, 0.81, 0.79, 0.80, 0.82, 0.78, 0.805, 0.795]
    usual = anomaly.usual(history, "share")
    spread = max(1.4826 * 0.0075, 0.5 * math.sqrt(sum((h - 0.8) ** 2 for h in history) / 8), 0.005)
    expected = stats.norm.isf(stats.t.sf((0.80 - 0.75) / (spread * math.sqrt(1 + 1.57 / 8)), 7))
    assert usual.z(0.75) == pytest.approx(-expected, rel=1e-12)
    assert usual.z(usual.at(3.5)) == pytest.approx(3.5, rel=1e-9)
    assert usual.z(usual.at(-2)) == pytest.approx(-2, rel=1e-9)
    assert usual.at(0) == 0.8
    assert usual.z(0.8) == 0


@pytest.mark.parametrize("scale", ["share", "log", "plain"])
@pytest.mark.parametrize("history", [[0.0] * 28, [1.0] * 7, [5e6, *[0.0] * 27], [1e-12, 1e12] * 14])
@pytest.mark.parametrize("value", [0.0, 1.0, 1e300, -5.0])
def test_scores_and_bounds_are_finite(scale: anomaly.Scale, history: list[float], value: float) -> None:
    usual = anomaly.usual(history, scale)
    assert abs(usual.z(value)) <= 38
    assert all(math.isfinite(usual.at(z)) for z in (-30, -3.5, 0, 3.5, 30))
    assert usual.at(-3.5) <= usual.at(0) <= usual.at(3.5)


def test_counts_and_times_are_compared_as_ratios() -> None:
    assert {scale_of(CATALOGUE[name]) for name in ("avg_confidence", "error_rate", "class_drift")} == {"share"}
    counts = ("prediction_count", "p99_latency_ms", "detections_per_image")
    assert {scale_of(CATALOGUE[name]) for name in counts} == {"log"}
    small, large = (anomaly.usual([1.0 * size, 1.1 * size, 0.9 * size] * 5, "log") for size in (1, 1000))
    assert small.z(2.0) == pytest.approx(large.z(2000.0))


def test_days_of_one_type_are_compared_where_they_are_enough() -> None:
    days = [*((True, 1.0) for _ in range(8)), *((False, 2.0) for _ in range(20))]
    assert anomaly.of_alike_days(days, weekend=True) == [1.0] * 8
    assert anomaly.of_alike_days(days, weekend=False) == [2.0] * 20
    assert len(anomaly.of_alike_days(days[1:], weekend=True)) == 27


# --- the same clock time ---------------------------------------------------------------------------------------------


def ends(moment: datetime, zone: str, hours: float = 1) -> list[datetime]:
    window = (moment - timedelta(hours=hours), moment)
    return [day.window[1] for day in alerts.days_before(window, ZoneInfo(zone), anomaly.DEFAULTS)]


def test_the_clock_time_of_the_zone_not_of_utc() -> None:
    found = ends(datetime(2024, 4, 5, 7), "Europe/Madrid")  # 9 o'clock; summer time began on 31 March
    assert found[:3] == [datetime(2024, 4, 5, 7), datetime(2024, 4, 4, 7), datetime(2024, 4, 3, 7)]
    assert found[5:7] == [datetime(2024, 3, 31, 7), datetime(2024, 3, 30, 8)]
    assert len(found) == len(set(found)) == 29


def test_a_clock_time_that_a_day_skips_is_taken_an_hour_later() -> None:
    found = ends(datetime(2024, 4, 1, 0, 30), "Europe/Madrid")  # half past two, which 31 March did not have
    assert found[1] == datetime(2024, 3, 31, 1, 30)  # half past three
    assert found[2] == datetime(2024, 3, 30, 1, 30)
    assert len(found) == 29


def test_a_clock_time_that_a_day_has_twice_is_the_first() -> None:
    found = ends(datetime(2024, 10, 28, 1, 30), "Europe/Madrid")
    assert found[1:3] == [datetime(2024, 10, 27, 0, 30), datetime(2024, 10, 26, 0, 30)]
    first, second = (ends(datetime(2024, 10, 27, hour, 30), "Europe/Madrid") for hour in (0, 1))
    assert first[1:] == second[1:]


def test_a_window_that_ends_at_midnight_is_of_the_day_before() -> None:
    saturday = datetime(2024, 3, 2)
    for hours, weekend in ((1, False), (24, False)):
        window = (saturday - timedelta(hours=hours), saturday)
        assert alerts.days_before(window, UTC, anomaly.DEFAULTS)[0].weekend is weekend
    after = (saturday, saturday + timedelta(days=1))
    before = [day.weekend for day in alerts.days_before(after, UTC, anomaly.DEFAULTS)[:8]]
    assert before == [True, False, False, False, False, False, True, True]


# --- the state machine -----------------------------------------------------------------------------------------------


def kinds(scores: Mapping[int, float] | Iterable[float | None], **said: Any) -> list[tuple[int, str]]:
    """Slot number and kind of what a series of scores (None: learning) does to an instance."""
    definition = rules.define({**RULE, **said}, metrics=CATALOGUE)
    instance, found = Instance("key"), []
    for number, z in enumerate(scores):
        outcome = (
            Outcome(0.8, 40, "no_data", "learning", hint="4 of 7 days") if z is None else Outcome(0.8, 40, compared=z)
        )
        instance, events = machine.step(instance, definition, at(300 * number), outcome)
        found += [(number, event.kind) for event in events]
    return found


def test_three_in_a_row_fire_and_three_quiet_ones_resolve() -> None:
    assert kinds([4, 4, 0, 4, 4, 4]) == [(0, "pending"), (2, "cleared"), (3, "pending"), (5, "firing")]
    assert kinds([-4, -4, -4, -2.6, 0, 0, -2.6, 2.6, 0, 0, 2.4]) == [(0, "pending"), (2, "firing"), (10, "resolved")]


def test_direction_and_sensitivity() -> None:
    assert kinds([4, 4, 4], direction="down") == []
    assert kinds([-4, -4, -4], direction="down")[-1] == (2, "firing")
    assert kinds([-4, -4, -4], direction="up") == []
    assert kinds([3.2, 3.2, 3.2], sensitivity="high")[-1] == (2, "firing")
    assert kinds([3.7, 3.7, 3.7], sensitivity="low") == []
    assert kinds([2, 2, 2], threshold=2, sensitivity="low")[-1] == (2, "firing")


def test_learning_is_never_told_and_never_evidence() -> None:
    assert kinds([None] * 100) == []
    assert kinds([None] * 100, no_data="alerting") == []
    assert kinds([4, 4, None, 4, 4]) == [(0, "pending"), (2, "cleared"), (3, "pending")]
    assert kinds([4, 4, 4, *[None] * 50]) == [(0, "pending"), (2, "firing")]


def test_the_wait_for_missing_data_begins_when_it_is_missing() -> None:
    definition = rules.define(RULE, metrics=CATALOGUE)
    learning = Outcome(0.8, 40, "no_data", "learning")
    gone = Outcome(kind="no_data", reason="no_rows", rows=False)
    instance, events = Instance("key"), []
    for number, outcome in enumerate([*[learning] * 50, *[gone] * 20, *[learning] * 5]):
        instance, happened = machine.step(instance, definition, at(300 * number), outcome)
        events += [(number, event.kind) for event in happened]
    assert events == [(62, "no_data"), (70, "no_data_resolved")]


# --- through the front door ------------------------------------------------------------------------------------------


def confidences(days: Iterable[int], level: float = 0.8, *, source: str | None = None, n: int = 12) -> list[Row]:
    """An image each five minutes of the hour before midnight; their mean moves a little from day to day."""
    rng = random.Random(5)
    return [
        Row(at(day * DAY - 3600 + 300 * k), source=source, boxes=[("car", level + move + 0.01 * (k % 3 - 1))] * 3)
        for day in days
        for move in [rng.gauss(0, 0.004)]
        for k in range(n)
    ]


def create(detmon: Shell, *options: object, metric: str = "avg_confidence", name: str = "odd", code: int = 0) -> Any:
    common = ("alert", "create", name, "--model", "m", "--metric", metric, "--operator", "anomaly", "--window", "1h")
    return detmon(*common, *options, code=code)


def check(detmon: Shell, seconds: float, *options: object) -> Any:
    return detmon("--now", text(seconds), "alert", "check", "--json", *options).json


def test_a_drop_is_told_with_what_is_usual(detmon: Shell) -> None:
    told = detmon.folder / "told.jsonl"
    store(detmon.folder, [*confidences(range(-28, 0)), *confidences([0], 0.7)])
    create(detmon, "--notify", f"file:{told}")
    shown = detmon("alert", "show", "odd", "--json").json
    assert (shown["threshold"], shown["recover_threshold"]) == (3.5, 2.5)
    assert (shown["for"], shown["keep_firing_for"]) == ("10m", "10m")
    assert [i["state"] for i in check(detmon, -600)["instances"]] == ["pending"]
    run = check(detmon, 0)
    [event] = run["events"]
    assert (event["kind"], event["slot"], event["threshold"]) == ("firing", text(0), 3.5)
    detail = event["detail"]
    assert detail["z"] < -3.5
    assert detail["low"] > event["value"]
    assert detail["expected"] == pytest.approx(0.8, abs=0.004)
    assert detail["days"] == 8  # a Sunday's evening beside those of Saturdays and Sundays
    assert run["instances"][0]["detail"] == detail
    [row] = detmon("alert", "list", "--json").json
    assert row["detail"] == detail
    *_, fired = (row for row in detmon("alert", "history", "odd", "--json").json if row["what"] == "event")
    assert fired["detail"] == detail
    usual = f"usually {detail['expected']:.4g} at this hour (8 days)"
    [message] = lines(told)
    assert usual in message["text"]
    assert usual in detmon("alert", "list").out
    assert usual in detmon("alert", "show", "odd").out
    assert detmon("alert", "show", "odd", "--json").json["instances"] == [row]
    [item] = message["items"]
    assert item["detail"]["z"] == detail["z"]


def test_an_ordinary_day_is_ok(detmon: Shell) -> None:
    store(detmon.folder, confidences(range(-28, 1)))
    create(detmon, "--for", "0s")
    [instance] = check(detmon, 0)["instances"]
    assert (instance["state"], instance["health"]) == ("ok", "ok")
    assert abs(instance["detail"]["z"]) < 2.5


def test_a_young_camera_learns_and_is_not_told(detmon: Shell) -> None:
    told = detmon.folder / "told.jsonl"
    store(detmon.folder, [*confidences(range(-28, 1), source="a"), *confidences(range(-4, 1), 0.5, source="b")])
    create(detmon, "--by", "source", "--for", "0s", "--no-data-for", "0s", "--notify", f"file:{told}")
    run = check(detmon, 0)
    assert run["events"] == []
    assert [(i["state"], i["health_reason"], i["hint"]) for i in run["instances"]] == [
        ("ok", None, None),
        ("no_data", "learning", "4 of 7 days"),
    ]
    assert not told.exists()
    assert "learning what is usual, 4 of 7 days" in detmon("alert", "list").out


def test_days_of_few_images_are_no_history_and_few_images_no_anomaly(detmon: Shell) -> None:
    few = confidences(range(-28, -6), n=6)  # 18 boxes
    store(detmon.folder, [*few, *confidences(range(-6, 1))])
    create(detmon, "--for", "0s")
    create(detmon, "--for", "0s", "--min-samples", 15, name="content")
    found = {i["alert"]: (i["health_reason"], i["hint"]) for i in check(detmon, 0)["instances"]}
    assert found == {"odd": ("learning", "6 of 7 days"), "content": (None, None)}
    [instance] = check(detmon, DAY - 3600 + 300 * 7)["instances"][1:]
    assert instance["health_reason"] == "ingest_stalled"


def test_a_dead_camera_is_an_anomaly_of_volume(detmon: Shell) -> None:
    images = [Row(at(day * DAY - 3000 + 10 * k), source="b") for day in range(-29, 0) for k in range(200 + day)]
    store(detmon.folder, [*confidences(range(-29, 1), source="a"), *images])
    create(detmon, "--by", "source", "--for", "0s", "--every", "1h", "--catch-up", "1h", metric="prediction_count")
    check(detmon, -DAY)
    found = check(detmon, 0)
    [event] = found["events"]
    assert (event["labels"], event["kind"], event["value"]) == ({"source": "b"}, "firing", 0)
    assert event["detail"]["expected"] == pytest.approx(180, abs=20)
    a, b = found["instances"]
    assert (a["health_reason"], b["state"]) == ("learning", "firing")  # 12 images an hour are too few to say


def test_each_metric_of_images_can_be_watched(detmon: Shell) -> None:
    store(detmon.folder, confidences(range(-28, 1)))
    for metric in ("p99_latency_ms", "detections_per_image", "class_share", "data_age_seconds", "rejected_rate"):
        where = ("--where", "label=car") if metric == "class_share" else ()
        create(
            detmon, *where, *(() if metric == "data_age_seconds" else ("--min-samples", 5)), metric=metric, name=metric
        )
    found = {i["alert"]: (i["state"], i["health_reason"]) for i in check(detmon, 0)["instances"]}
    assert found == {
        "class_share": ("ok", None),
        "data_age_seconds": ("ok", None),
        "detections_per_image": ("ok", None),
        "p99_latency_ms": ("no_data", "no_value"),
        "rejected_rate": ("no_data", "no_rows"),
    }


def test_many_slots_are_made_up_as_one_by_one(detmon: Shell) -> None:
    rows = [*confidences(range(-29, 0)), *confidences([0], 0.7)]
    for db in ("one", "all"):
        store(detmon.folder, rows, f"{db}.duckdb")
        detmon.monkeypatch.setenv("DETMON_DB", str(detmon.folder / f"{db}.duckdb"))
        create(detmon)
        check(detmon, -3600)
        for moment in range(-3300, 1, 300) if db == "one" else [0]:
            check(detmon, moment)
    histories = []
    for db in ("one", "all"):
        detmon.monkeypatch.setenv("DETMON_DB", str(detmon.folder / f"{db}.duckdb"))
        found = detmon("alert", "history", "odd", "--json").json
        histories.append([(row["slot"], row["kind"], row["value"], row["detail"]) for row in found])
    assert histories[0] == histories[1] != []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--threshold", "0"), "above 0, at most 30"),
        (("--threshold", "31"), "above 0, at most 30"),
        (("--recover-threshold", "2"), "[anomaly] resolve_z"),
        (("--relative-to", "baseline"), "without --relative-to"),
        (("--direction", "sideways"), "unknown direction 'sideways'"),
        (("--sensitivity", "hihg"), "did you mean 'high'?"),
    ],
)
def test_a_wrong_rule_is_refused(options: tuple[str, ...], said: str, detmon: Shell) -> None:
    store(detmon.folder, confidences([0]))
    assert said in create(detmon, *options, code=2).err


def test_a_stored_rule_is_replayed_with_other_options(detmon: Shell) -> None:
    store(detmon.folder, [*confidences(range(-28, 0)), *confidences([0], 0.7)])
    create(detmon)

    def fired(*options: object) -> tuple[float, int]:
        found = detmon("--now", text(0), "alert", "backtest", "odd", *options, "--json").json
        return found["threshold"], len(found["episodes"])

    assert fired() == (3.5, 1)
    assert fired("--sensitivity", "low") == (4.0, 1)
    assert fired("--threshold", 29) == (29, 0)
    assert fired("--direction", "up") == (3.5, 0)
    assert fired("--operator", "lt", "--threshold", 0.75) == (0.75, 1)


def test_options_of_anomalies_belong_to_anomalies(detmon: Shell) -> None:
    store(detmon.folder, confidences([0]))
    plain = ("alert", "create", "x", "--model", "m", "--metric", "avg_confidence", "--operator", "lt", "--window", "1h")
    assert "an alert needs threshold" in detmon(*plain, code=2).err
    assert "direction has no meaning with lt" in detmon(*plain, "--threshold", 0.5, "--direction", "up", code=2).err


def test_the_settings(detmon: Shell) -> None:
    store(detmon.folder, [*confidences(range(-5, 0)), *confidences([0], 0.7)])
    config = detmon.folder / "detmon.toml"
    config.write_text("[anomaly]\nz = 3.0\nfor = 1\nresolve_z = 2\nmin_days = 4\nmin_samples = 36\n")
    create(detmon)
    shown = detmon("alert", "show", "odd", "--json").json
    assert (shown["threshold"], shown["recover_threshold"], shown["for"]) == (3, 2, "0s")
    assert [event["kind"] for event in check(detmon, 0)["events"]] == ["firing"]
    for line, said in (
        ("z = 'a'", "[anomaly] z = 'a'"),
        ("days = 0", "[anomaly] days = 0"),
        ("resolve_z = 4", "at most z = 3.5"),
        ("min_days = 29", "at most days = 28"),
        ('weekend = ["Sunday"]', '["Sat", "Sun"]'),
        ("zed = 1", "unknown key 'zed' in [anomaly]"),
    ):
        config.write_text(f"[anomaly]\n{line}\n")
        failed = detmon("alert", "check", code=2).err
        assert said in failed


def test_only_anomalies_load_scipy(detmon: Shell) -> None:
    store(detmon.folder, [*confidences(range(-28, 0)), *confidences([0], 0.7)])
    common = ("alert", "create", "low", "--model", "m", "--metric", "avg_confidence", "--window", "1h")
    detmon(*common, "--operator", "lt", "--threshold", 0.1)
    code = (
        "import sys\nfrom detmon import Client\n"
        f"Client(now={text(0)!r}).check_alerts()\n"
        "print([name for name in ('scipy', 'numpy', 'detmon.stats', 'detmon.alerts.relative') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=detmon.folder)
    assert done.stdout.strip() == "[]"
