"""Backtests: how often a rule would have fired."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import Shell
from stored import Row, at, store, text
from test_alert_vectors import log_of, of_kind, options_of

from detmon import Client
from detmon.metrics.windows import split

HOUR = 3600
DAY = 24 * HOUR
RULE = ("--metric", "avg_confidence", "--operator", "lt", "--threshold", "0.7", "--window", "1h", "--every", "1h")


def hourly(confidences: dict[int, float], hours: int, *, source: str | None = None, usual: float = 0.8) -> list[Row]:
    """40 boxes an hour from BASE on, of the usual confidence but in some hours."""
    return [
        Row(at(hour * HOUR + number * 60), source=source, boxes=[("car", confidences.get(hour, usual))])
        for hour in range(hours)
        for number in range(40)
    ]


def backtest(detmon: Shell, hours: float, *options: object, code: int = 0) -> Any:
    return detmon("--now", text(hours * HOUR), "alert", "backtest", *options, "--json", code=code).json


def contents(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the store's tables."""
    import duckdb

    with duckdb.connect(str(folder / "detmon.duckdb"), read_only=True) as con:
        tables = [name for (name,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return {name: con.execute(f"SELECT * FROM {name} ORDER BY ALL").fetchall() for name in tables}


@pytest.mark.parametrize("case", of_kind("state"))
def test_it_tells_what_the_checks_found(case: dict[str, Any], detmon: Shell) -> None:
    """The episodes of a backtest are those of the checks, for every published case without broken evaluations."""
    if "error" in [value for _, value in case["samples"]]:
        pytest.skip("rows cannot make an evaluation fail")
    store(detmon.folder, [*log_of(case, "m"), Row(at(-7200), model="m")])
    detmon("--now", text(0), "alert", "create", "rule", "--model", "m", *options_of(case))
    slots = range(case["eval_times"][0], case["eval_times"][-1] + 1, int(case["rule"]["every"].rstrip("s")))
    events = []
    for slot in slots:
        events += detmon("--now", text(slot), "alert", "check", "--json").json["events"]
    end = text(slots[-1])
    period = f"{text(slots[0] - slots.step)}/{end}"
    found = detmon("--now", end, "alert", "backtest", "rule", "--period", period, "--json").json
    starts = [event["slot"] for event in events if event["kind"] == "firing"]
    ends = [event["slot"] for event in events if event["kind"] == "resolved"]
    assert [episode["start"] for episode in found["episodes"]] == starts
    assert [episode["end"] for episode in found["episodes"] if episode["end"]] == ends


def test_episodes_of_the_last_28_days(detmon: Shell) -> None:
    hours = 40 * 24
    low = {2 * 24: 0.5, 20 * 24: 0.6, 20 * 24 + 1: 0.55, 35 * 24: 0.65, hours - 1: 0.1}
    store(detmon.folder, hourly(low, hours))
    detmon("alert", "create", "low", "--model", "m", *RULE)
    before = contents(detmon.folder)
    found = backtest(detmon, hours, "low")
    assert (found["start"], found["end"]) == (text((hours - 28 * 24) * HOUR), text(hours * HOUR))
    assert (found["evaluations"], found["judged"], found["per_week"]) == (672, 672, 0.75)
    assert found["episodes"] == [
        {"start": text((20 * 24 + 1) * HOUR), "end": text((20 * 24 + 3) * HOUR), "labels": {}, "peak": 0.55},
        {"start": text((35 * 24 + 1) * HOUR), "end": text((35 * 24 + 2) * HOUR), "labels": {}, "peak": 0.65},
        {"start": text(hours * HOUR), "end": None, "labels": {}, "peak": 0.1},
    ]
    assert found["no_data"] == found["errors"] == []
    whole = backtest(detmon, hours, "low", "--period", "2024-01-01:2024-12-31")
    assert (whole["evaluations"], len(whole["episodes"])) == (hours, 4)
    assert contents(detmon.folder) == before


def test_a_rule_by_its_options_and_a_stored_one_with_other_options(detmon: Shell) -> None:
    store(detmon.folder, hourly({10: 0.6, 11: 0.6, 30: 0.6}, 48))
    assert len(backtest(detmon, 48, "--model", "m", *RULE)["episodes"]) == 2
    detmon("alert", "create", "low", "--model", "m", *RULE)
    assert len(backtest(detmon, 48, "low")["episodes"]) == 2
    assert [e["start"] for e in backtest(detmon, 48, "low", "--for", "1h")["episodes"]] == [text(12 * HOUR)]
    assert backtest(detmon, 48, "low", "--threshold", "0.5")["episodes"] == []
    found = Client(now=text(48 * HOUR)).backtest_alert(
        model_id="m", condition={"metric": "avg_confidence", "operator": "lt", "threshold": 0.7, "window": "1h"}
    )
    assert found.every == "5m"
    assert found.evaluations == 48 * 12 - 4  # the last image is of 20 minutes before the end


def test_missing_data_is_no_episode(detmon: Shell) -> None:
    rows = [*hourly({}, 100, source="a"), *hourly({40: 0.5}, 50, source="b")]
    store(detmon.folder, rows)
    found = backtest(detmon, 100, "--model", "m", *RULE, "--by", "source")
    assert [(e["labels"], e["start"]) for e in found["episodes"]] == [({"source": "b"}, text(41 * HOUR))]
    assert found["no_data"] == [{"start": text(51 * HOUR), "end": None, "labels": {"source": "b"}, "reason": "no_rows"}]
    short = backtest(detmon, 100, "--model", "m", *RULE, "--min-samples", "1000")
    assert (short["evaluations"], short["judged"], short["episodes"]) == (100, 0, [])
    shown = detmon("--now", text(100 * HOUR), "alert", "backtest", "--model", "m", *RULE, "--min-samples", "1000")
    assert "could not have been judged in 4 days: insufficient_samples" in shown.out
    assert "insufficient_samples           1   4d4h     2024-03-04 01:00Z" in shown.out


def test_how_much_could_be_judged_is_said(detmon: Shell) -> None:
    store(detmon.folder, [*hourly({60: 0.5}, 71), *hourly({}, 24 * 8)[40 * 24 * 7 :]])
    found = backtest(detmon, 24 * 8, "--model", "m", *RULE)
    assert (found["evaluations"], found["judged"], len(found["episodes"])) == (192, 95, 1)
    shown = detmon("--now", text(8 * DAY), "alert", "backtest", "--model", "m", *RULE).out
    assert "fired once in 8 days (0.88 a week), though only 95 of 192 slots could be judged: ingest_stalled." in shown


def test_a_short_log_says_nothing_of_a_week(detmon: Shell) -> None:
    store(
        detmon.folder, [Row(at(second), boxes=[("car", 0.5 if 90 <= second < 100 else 0.9)]) for second in range(180)]
    )
    made = ("--metric", "avg_confidence", "--operator", "lt", "--threshold", 0.7, "--window", "10s", "--min-samples", 1)
    shown = detmon("--now", text(180), "alert", "backtest", "--model", "m", *made)
    assert "would have fired once in 3 minutes.\n" in shown.out


def test_an_anomaly_that_hardly_can_fire_is_said(detmon: Shell) -> None:
    """One to three trucks among 24 boxes an evening: none at all is nothing unusual, fewer there cannot be."""
    evenings = [
        Row(at(day * DAY + 23 * HOUR + number * 60), boxes=[("truck" if number <= day % 3 else "car", 0.9)])
        for day in range(25)
        for number in range(24)
    ]
    store(detmon.folder, evenings)
    share = ("--metric", "class_share", "--where", "label=truck", "--operator", "anomaly", "--window", "1h")
    shares = (*share, "--every", "1d", "--direction")
    made = detmon("--now", text(25 * DAY), "alert", "create", "few", "--model", "m", *shares, "down")
    assert made.err.startswith(
        "warning: would not have fired in 18 days; at 100 % of its verdicts no value could have:"
    )
    assert backtest(detmon, 25 * 24, "few")["blind"] == 1
    assert backtest(detmon, 25 * 24, "--model", "m", *shares, "up")["blind"] == 0


def test_slots_without_any_label_set_count(detmon: Shell) -> None:
    store(detmon.folder, [*hourly({10: 0.5}, 12, source="a"), *hourly({}, 101)[300:]])
    found = backtest(
        detmon, 101, "--model", "m", *RULE, "--where", "source=a", "--by", "source", "--forget-after", "1d"
    )
    assert (found["evaluations"], found["judged"], len(found["episodes"])) == (101, 12, 1)


def test_an_open_episode_of_a_camera_that_is_gone_ends(detmon: Shell) -> None:
    store(detmon.folder, [*hourly({}, 100, source="a"), *hourly({49: 0.5}, 50, source="b")])
    found = backtest(detmon, 100, "--model", "m", *RULE, "--by", "source", "--forget-after", "1d")
    [episode] = found["episodes"]
    assert (episode["start"], episode["end"]) == (text(50 * HOUR), text(74 * HOUR))
    [stretch] = found["no_data"]
    assert (stretch["start"], stretch["end"]) == (text(51 * HOUR), text(75 * HOUR))


def test_the_report(detmon: Shell) -> None:
    store(detmon.folder, hourly({10: 0.6, 30: 0.6}, 72))
    detmon("alert", "create", "low", "--model", "m", *RULE)
    at_end = ("--now", text(72 * HOUR), "alert", "backtest", "low")
    shown = detmon(*at_end).out
    assert "avg_confidence lt 0.7 over 1h: would have fired 2 times in 3 days (4.7 a week)." in shown
    assert "2024-03-04 11:00Z   2024-03-04 12:00Z   1h" in shown
    assert "would not have fired in 3 days" in detmon(*at_end, "--threshold", "0.1").out
    assert detmon(*at_end, "--format", "markdown").out.startswith("## low · m")
    assert detmon(*at_end, "--format", "html").out.startswith("<!doctype html>")


def test_what_cannot_be_replayed(detmon: Shell) -> None:
    store(detmon.folder, hourly({}, 24))
    detmon("model", "register", "empty")
    nothing = backtest(detmon, 24, "--model", "empty", *RULE)
    assert (nothing["evaluations"], nothing["per_week"], nothing["start"]) == (0, None, None)
    assert "no predictions then" in detmon("alert", "backtest", "--model", "empty", *RULE).out
    assert backtest(detmon, -24, "--model", "m", *RULE)["evaluations"] == 0
    assert "name an alert" in detmon("alert", "backtest", code=2).err
    assert "unknown alert 'lov'" in detmon("alert", "backtest", "lov", code=2).err
    assert "needs metric" in detmon("alert", "backtest", "--model", "m", code=2).err
    assert "unknown model 'n'" in detmon("alert", "backtest", "--model", "n", *RULE, code=2).err
    assert "is not a period" in detmon("alert", "backtest", "--model", "m", *RULE, "--period", "soon", code=2).err


def test_runs_of_windows() -> None:
    windows = [(at(start), at(start + 60)) for start in (*range(0, 300, 30), 1000, *range(2000, 2100, 10))]
    runs, rest = split([*windows, (at(5), at(6)), *windows[:3]])
    assert [len(run.windows) for run in runs] == [10, 10]
    assert sorted(rest) == [(at(5), at(6)), (at(1000), at(1060))]
    assert split([]) == ([], [])


# --- advice --------------------------------------------------------------------------------------------------------


def test_who_makes_a_rule_is_told_how_often_it_would_have_fired(detmon: Shell) -> None:
    store(detmon.folder, hourly({100: 0.6, 200: 0.65, 201: 0.65, 300: 0.5}, 28 * 24))
    now = ("--now", text(28 * DAY))
    made = detmon(*now, "alert", "create", "low", "--model", "m", *RULE)
    assert made.out.startswith("al_")
    assert made.err == "note: would have fired 3 times in 28 days (0.75 a week)\n"
    made = detmon(*now, "alert", "create", "low", "--model", "m", *RULE, "--threshold", "0.4", "--replace")
    assert made.err == "note: would not have fired in 28 days\n"
    detmon("model", "register", "empty")
    assert detmon(*now, "alert", "create", "low", "--model", "empty", *RULE).err == ""


def test_what_would_have_been_quieter(detmon: Shell) -> None:
    """The observed value nearest to the threshold with at most one episode, and the shortest `for`, by trying all."""
    low = {100: 0.6, 101: 0.61, 102: 0.6, 200: 0.65, 201: 0.66, 300: 0.62, 301: 0.63, 400: 0.68, 500: 0.69}
    store(detmon.folder, hourly(low, 28 * 24))
    now = ("--now", text(28 * DAY))
    made = detmon(*now, "alert", "create", "low", "--model", "m", *RULE)
    said = "at most once in 28 days with --threshold 0.62 or --for 2h"
    assert made.err == f"warning: would have fired 5 times in 28 days (1.2 a week); {said}\n"
    found = backtest(detmon, 28 * 24, "low")
    assert found["quieter"]["threshold"] == pytest.approx(0.62)
    assert found["quieter"]["for"] == "2h"
    values = sorted(set(low.values()), reverse=True)
    episodes = [len(backtest(detmon, 28 * 24, "low", "--threshold", value)["episodes"]) for value in values]
    assert dict(zip(values, episodes, strict=True)) == {
        0.69: 4, 0.68: 3, 0.66: 3, 0.65: 2, 0.63: 2, 0.62: 1, 0.61: 2, 0.6: 0
    }  # fmt: skip
    assert [len(backtest(detmon, 28 * 24, "low", "--for", length)["episodes"]) for length in ("1h", "2h")] == [3, 1]


def test_what_would_have_been_quieter_from_above(detmon: Shell) -> None:
    store(detmon.folder, hourly({100: 0.6, 200: 0.65, 300: 0.7, 400: 0.75, 500: 0.8}, 28 * 24, usual=0.4))
    above = (*RULE, "--operator", "gt", "--threshold", "0.5")
    found = backtest(detmon, 28 * 24, "--model", "m", *above)
    assert found["quieter"] == {
        "threshold": pytest.approx(0.75),
        "for": "1h",
        "options": ["--threshold 0.75", "--for 1h"],
    }
    assert (
        "At most once in 28 days with --threshold 0.75 or --for 1h."
        in detmon("--now", text(28 * DAY), "alert", "backtest", "--model", "m", *above).out
    )


def test_a_long_backtest_is_left_to_its_command(detmon: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    store(detmon.folder, hourly({}, 100))
    monkeypatch.setattr("detmon.alerts.advice.SECONDS", 0.0)
    made = detmon("--now", text(100 * HOUR), "alert", "create", "low", "--model", "m", *RULE)
    assert made.err == 'note: detmon alert backtest "low" says how often it would have fired\n'


# --- what late rows would have changed -----------------------------------------------------------------------------


def test_late_rows_are_shown_beside_what_was_decided(detmon: Shell) -> None:
    store(detmon.folder, hourly({2: 0.6, 20: 0.6}, 24))
    detmon("alert", "create", "low", "--model", "m", *RULE)

    def check(hour: int) -> None:
        detmon("--now", text(hour * HOUR), "alert", "check")

    for hour in range(1, 8):
        check(hour)
    detmon("--now", text(7 * HOUR + 60), "alert", "disable", "low")
    detmon("--now", text(12 * HOUR), "alert", "enable", "low")
    for hour in range(13, 25):
        check(hour)

    def revised() -> list[tuple[Any, ...]]:
        rows = detmon("alert", "history", "low", "--recompute", "--json").json
        return [(row["slot"], row["stored"], row["revised"], row["differs"]) for row in rows]

    fired, over = ["pending", "firing"], ["resolved"]
    same = [(text(h * HOUR), kinds, kinds, None) for h, kinds in ((3, fired), (4, over), (21, fired), (22, over))]
    assert revised() == same
    late = [Row(at(2 * HOUR + n * 60), boxes=[("car", 0.9)]) for n in range(60)]
    worse = [Row(at(5 * HOUR + n * 60), boxes=[("car", 0.1)]) for n in range(60)]
    more = [Row(at(20 * HOUR + 30), boxes=[("car", 0.61)])]
    in_the_pause = [Row(at(9 * HOUR + n * 60), boxes=[("car", 0.1)]) for n in range(60)]
    before = contents(detmon.folder)["alert_events"]
    store(detmon.folder, [*late, *worse, *more, *in_the_pause])
    assert revised() == [
        (text(3 * HOUR), fired, [], "event"),
        (text(4 * HOUR), over, [], "event"),
        (text(6 * HOUR), [], fired, "event"),
        (text(7 * HOUR), [], over, "event"),
        (text(21 * HOUR), fired, fired, "value"),
        (text(22 * HOUR), over, over, None),
    ]
    [row] = [r for r in detmon("alert", "history", "low", "--recompute", "--json").json if r["slot"] == text(21 * HOUR)]
    assert (row["stored_value"], row["stored_n"], row["n"]) == (pytest.approx(0.6), 40, 41)
    assert contents(detmon.folder)["alert_events"] == before
    detmon("alert", "create", "other", "--model", "m", *RULE)
    assert detmon("alert", "history", "other", "--recompute").err == "note: nothing happened, and nothing would now\n"


def test_the_age_of_data_is_that_of_every_row(detmon: Shell) -> None:
    """Replayed from rollups and rows, against the rows themselves."""
    rows = [Row(at(hour * HOUR + 17 * 60), source="ab"[hour % 2]) for hour in (0, 1, 2, 7, 8, 30)]
    store(detmon.folder, rows)
    rule = (
        "--metric",
        "data_age_seconds",
        "--operator",
        "gt",
        "--threshold",
        4 * HOUR,
        "--window",
        "1h",
        "--every",
        "1h",
    )
    found = backtest(detmon, 31, "--model", "m", *rule)
    assert [(e["start"], e["end"], e["peak"]) for e in found["episodes"]] == [
        (text(7 * HOUR), text(8 * HOUR), 5 * HOUR - 17 * 60),
        (text(13 * HOUR), text(31 * HOUR), 22 * HOUR - 17 * 60),
    ]
    later = backtest(
        detmon, 31, "--model", "m", *rule, "--period", f"{text(13 * HOUR)}/{text(14 * HOUR)}", "--by", "source"
    )
    assert [(e["labels"]["source"], e["peak"]) for e in later["episodes"]] == [
        ("a", 6 * HOUR - 17 * 60), ("b", 7 * HOUR - 17 * 60)
    ]  # fmt: skip


def test_what_an_evaluation_took_is_kept(detmon: Shell) -> None:
    store(detmon.folder, hourly({}, 3))
    detmon("alert", "create", "low", "--model", "m", *RULE)
    detmon("--now", text(3 * HOUR), "alert", "check")
    [row] = detmon("sql", "SELECT ms > 0 AND ms < 60000 AS fine FROM alert_evaluations", "--json").json
    assert row["fine"] is True
