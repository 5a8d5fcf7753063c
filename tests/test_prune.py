"""`detmon prune`: what goes, what stays, and that nobody takes what is gone for nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

import duckdb
import pytest
from conftest import Shell
from stored import BASE, Row, store, text

from detmon.store import Store, transaction
from detmon.store.rollups import rollups_equal_raw

DAY = 86400.0
DAYS = 40
NOW = text(0)


def fleet(detmon: Shell) -> None:
    """40 days of a model, an image every half hour of two cameras, ingested by the front door."""
    lines = []
    for half_hour in range(48 * DAYS):
        at = text(-DAYS * DAY + half_hour * 1800.0)
        labels = ["car"] * (half_hour % 3) + ["truck"] * (half_hour % 2)
        boxes = ", ".join(f'{{"label": "{label}", "confidence": 0.8, "bbox": [0, 0, 9, 9]}}' for label in labels)
        camera = half_hour // 2 % 2
        lines.append(
            f'{{"prediction_id": "p{half_hour}", "model_id": "m", "timestamp": "{at}", "image_id": "i{half_hour}", '
            f'"source": "cam-{camera}", "latency_ms": 20, "detections": [{boxes}]}}'
        )
    (detmon.folder / "log.jsonl").write_text("\n".join(lines) + "\n")
    detmon("--now", NOW, "ingest", "log.jsonl", "--complete")


def prune(detmon: Shell, *args: object, older_than: str = "30d") -> dict[str, object]:
    done = detmon("--now", NOW, "prune", "--older-than", older_than, *args, "--json").json
    assert isinstance(done, dict)
    return done


def ids(detmon: Shell, days: float) -> set[str]:
    """The stored predictions that are older than so many days."""
    query = f"SELECT prediction_id FROM predictions WHERE ts < TIMESTAMP '{BASE - timedelta(days=days)}'"
    return {row["prediction_id"] for row in detmon("sql", query, "--json").json}


def test_old_rows_go_but_those_that_reviews_and_items_need(detmon: Shell) -> None:
    fleet(detmon)
    detmon("feedback", "add", "p7", "--type", "correct", "--detection", "0")
    detmon("dataset", "create", "review")
    detmon("item", "add", "--dataset", "review", "p11")
    before = detmon("item", "list", "--dataset", "review", "--json").json
    tried = prune(detmon, "--dry-run")
    assert tried["predictions"] == {"m": 478}
    assert len(ids(detmon, 30)) == 480
    done = prune(detmon)
    assert {**tried, "dry_run": False} | {"bytes_after": 0, "bytes_free": 0} == {
        **done,
        "bytes_after": 0,
        "bytes_free": 0,
    }
    assert (done["before"], done["predictions"], done["kept"]) == (text(-30 * DAY), {"m": 478}, {"m": 2})
    assert ids(detmon, 30) == {"p7", "p11"}
    assert detmon("item", "list", "--dataset", "review", "--json").json == before
    assert prune(detmon)["predictions"] == {}
    (model,) = detmon("status", "--json").json["models"]
    assert (model["predictions"], model["pruned"], model["pruned_before"]) == (48 * DAYS, 478, text(-30 * DAY))
    shown = detmon("status").out
    assert "pruned_before" in shown
    with Store(detmon.folder / "detmon.duckdb").reading() as con:
        assert rollups_equal_raw(con)


def test_a_metric_of_pruned_rows_has_a_reason_and_no_value(detmon: Shell) -> None:
    fleet(detmon)
    prune(detmon)
    names = [metric["name"] for metric in detmon("metric", "list", "--json").json]
    period = f"{text(-35 * DAY)}/{text(-25 * DAY)}"
    for name in names:
        where = ["--where", "label=car"] if name == "class_share" else []
        asked = ["metric", "show", name, "--model", "m", "--period", period, "--every", "5d", *where]
        old, new = detmon("--now", NOW, *asked, "--json").json["points"]
        if name in ("data_age_seconds", "rejected_rate"):
            continue
        assert (old["value"], old["reason"]) == (None, "rows_pruned"), name
        assert new["reason"] != "rows_pruned", name
    asked = ["metric", "show", "prediction_count", "--model", "m", "--period", period, "--every", "5d"]
    assert [point["value"] for point in detmon("--now", NOW, *asked, "--json").json["points"]] == [None, 240]


def test_what_looks_at_pruned_rows_says_so(detmon: Shell) -> None:
    rows = [Row(BASE - timedelta(hours=h), "m", "cam", boxes=[("car", 0.8)]) for h in range(1, 40 * 24)]
    store(detmon.folder, rows)
    (detmon.folder / "detmon.toml").write_text("[models.m.engine]\ndataset = 'd'\nrandom_sample = { rate = 0.5 }\n")
    detmon("engine", "configure", "--model", "m")
    prune(detmon)
    says = "rows of m before "
    old = ("--period", f"{BASE - timedelta(days=38):%Y-%m-%d}:{BASE - timedelta(days=36):%Y-%m-%d}")
    assert says in detmon("--now", NOW, "metric", "show", "avg_confidence", "--model", "m", "--by", "source", *old).err
    assert says in detmon("--now", NOW, "engine", "run", *old).err
    assert says not in detmon("--now", NOW, "engine", "run", "--period", "last 2d").err


def test_new_classes_are_judged_by_the_rollups(detmon: Shell) -> None:
    fleet(detmon)
    prune(detmon, older_than="2d")
    asked = ["metric", "show", "new_class_count", "--model", "m", "--window", "1d"]
    assert detmon("--now", NOW, *asked, "--json").json["points"][0]["value"] == 0


def test_how_old_the_data_are_is_still_known(detmon: Shell) -> None:
    fleet(detmon)
    later = text(60 * DAY)
    detmon("--now", later, "prune", "--older-than", "30d")
    asked = ["metric", "show", "data_age_seconds", "--model", "m", "--by", "source", "--window", "1h", "--json"]
    points = detmon("--now", later, *asked).json["points"]
    assert [point["value"] for point in points] == [60 * DAY + 5400, 60 * DAY + 1800]


def test_a_rule_that_looks_further_back_than_rows_are_kept_has_no_data(detmon: Shell) -> None:
    fleet(detmon)
    condition = [
        "--metric",
        "prediction_count",
        "--operator",
        "lt",
        "--threshold",
        "10000",
        "--window",
        "35d",
        "--every",
        "1h",
    ]
    detmon("alert", "create", "volume", "--model", "m", *condition)
    (before,) = detmon("--now", NOW, "alert", "check", "--json").json["instances"]
    assert before["state"] == "firing"
    prune(detmon)
    (after,) = detmon("--now", text(3600), "alert", "check", "--json").json["instances"]
    assert (after["state"], after["health"], after["health_reason"]) == ("firing", "no_data", "rows_pruned")


def test_drift_over_pruned_days_comes_from_the_rollups_and_says_so(detmon: Shell) -> None:
    fleet(detmon)
    days = [f"{(BASE - timedelta(days=d)).date()}" for d in (39, 11, 10, 1)]
    asked = [
        "drift",
        "check",
        "--model",
        "m",
        "--reference",
        f"{days[0]}:{days[1]}",
        "--current",
        f"{days[2]}:{days[3]}",
    ]
    before = detmon("--now", NOW, *asked, "--json").json
    prune(detmon, older_than="20d")
    after = detmon("--now", NOW, *asked, "--json").json
    assert "rows_pruned" in [warning["code"] for warning in after["warnings"]]
    for key in ("class_drift", "confidence_drift", "count_drift", "significant_drift", "classes", "effects"):
        assert after[key] == before[key], key
    for more in (["--by", "source"], ["--block", "10m"]):
        assert "are pruned" in detmon("--now", NOW, *asked, *more, code=2).err


def test_quality_begins_where_rows_begin(detmon: Shell) -> None:
    fleet(detmon)
    prune(detmon)
    shown = detmon("--now", NOW, "quality", "show", "--model", "m")
    assert "the period begins there" in shown.err
    old = f"{text(-40 * DAY)}/{text(-35 * DAY)}"
    assert "are pruned" in detmon("--now", NOW, "quality", "show", "--model", "m", "--period", old, code=2).err


def test_a_running_test_keeps_its_rows_and_an_old_one_says_what_it_misses(detmon: Shell) -> None:
    rows = [Row(BASE - timedelta(hours=h), model, "cam", boxes=[("car", 0.8)]) for h in range(1, 900) for model in "ab"]
    store(detmon.folder, rows)
    for name, days, length in (("old", 37, 5), ("running", 35, 60)):
        start = text(-days * DAY)
        models = ["--model-a", "a", "--model-b", "b"]
        detmon("--now", start, "ab", "create", name, *models, "--start", start, "--duration-days", length)
    done = prune(detmon)
    assert done["predictions"] == {"a": 900 - 35 * 24 - 1, "b": 900 - 35 * 24 - 1}
    verdict = detmon("--now", NOW, "ab", "results", "old", "--json").json["verdict"]
    assert "are pruned" in verdict
    assert "are pruned" not in detmon("--now", NOW, "ab", "results", "running", "--json").json["verdict"]


def test_what_is_past_of_alerts(detmon: Shell) -> None:
    """Runs and evaluations after 35 days, ended notices and silences after 90; the newest and the open stay."""
    store(detmon.folder, [Row(BASE, latency=20)])
    condition = ["--metric", "avg_latency_ms", "--operator", "gt", "--threshold", "50", "--window", "1h"]
    rule = detmon("alert", "create", "slow", "--model", "m", *condition).out.strip()
    ends = [
        ("sent", 100),
        ("merged", 100),
        ("dropped", 100),
        ("queued", 100),
        ("dead", 100),
        ("sent", 80),
        ("sent", 100),
    ]
    with Store(detmon.folder / "detmon.duckdb").writing() as con, transaction(con):
        for number, days in enumerate((100, 80, 50, 40)):
            _past_run(con, rule, number, BASE - timedelta(days=days))
        for number, (status, days) in enumerate(ends):
            _past_notice(con, number, status, BASE - timedelta(days=days))
        con.execute(  # the last notice told of an episode that is still open
            "INSERT INTO alert_instances(instance_key, alert_id, version, labels, condition, episode_id, health, "
            "ever, state, state_since, last_slot) "
            "VALUES ('i', $rule, 1, '{}', 'firing', 'e6', 'ok', true, 'firing', $at, $at)",
            {"rule": rule, "at": BASE},
        )
    done = prune(detmon)
    assert [done[key] for key in ("runs", "evaluations", "notices", "silences")] == [3, 3, 3, 1]
    query = "SELECT notice_id FROM outbox JOIN outbox_items USING (notice_id) ORDER BY 1"
    assert [row["notice_id"] for row in detmon("sql", query, "--json").json] == ["n3", "n4", "n5", "n6"]
    assert detmon("status", "--json").json["checked_at"] == text(-40 * DAY)


def _past_run(con: duckdb.DuckDBPyConnection, rule: str, number: int, at: datetime) -> None:
    """A run with an evaluation, and a silence that ended then."""
    values = {"n": number, "at": at}
    con.execute("INSERT INTO alert_runs(run_id, now, started_at) VALUES ($n, $at, $at)", values)
    con.execute(
        "INSERT INTO alert_evaluations(alert_id, slot, version, run_id, status) VALUES ($rule, $at, 1, $n, 'done')",
        {**values, "rule": rule},
    )
    con.execute(
        "INSERT INTO alert_silences(silence_id, kind, starts_at, ends_at, author, created_at) "
        "VALUES ($n, 'silence', $at, $at, 'me', $at)",
        values,
    )


def _past_notice(con: duckdb.DuckDBPyConnection, number: int, status: str, at: datetime) -> None:
    """A notice that got its status then."""
    con.execute(
        "INSERT INTO outbox(notice_id, seq, target, kind, group_key, slot, run_id, payload, status, created_at, "
        "not_before, expires_at, attempts, ambiguous, ended_at) VALUES "
        "($n, $seq, 't', 'firing', 'g', $at, 'r', '{}', $status, $at, $at, $at, 1, false, $at)",
        {"n": f"n{number}", "seq": number, "status": status, "at": at},
    )
    con.execute(
        "INSERT INTO outbox_items(notice_id, item, episode_id, kind, detail) VALUES ($n, 0, $e, 'firing', '{}')",
        {"n": f"n{number}", "e": f"e{number}"},
    )


@pytest.mark.parametrize(("older_than", "says"), [("12h", "at least 1d"), ("soon", "not a duration")])
def test_what_is_no_age(detmon: Shell, older_than: str, says: str) -> None:
    store(detmon.folder, [Row(BASE)])
    assert says in detmon("--now", NOW, "prune", "--older-than", older_than, code=2).err


def test_short_ages_are_warned_of_and_text_says_what_went(detmon: Shell) -> None:
    fleet(detmon)
    done = detmon("--now", NOW, "prune", "--older-than", "10d", "--dry-run")
    assert "look back 28 days" in done.err
    assert f"{48 * 30:,} predictions of m before" in done.out
    assert "nothing is removed" in done.err
    assert "look back" not in detmon("--now", NOW, "prune", "--older-than", "35d").err


def test_room_of_whole_row_groups_is_free_again(detmon: Shell) -> None:
    """What was taken anew after a prune fits into the file as it was."""
    with Store(detmon.folder / "detmon.duckdb").writing(create=True) as con, transaction(con):
        con.execute(
            "INSERT INTO predictions BY NAME SELECT 'p' || i AS prediction_id, 'm' AS model_id, "
            "$first + INTERVAL (i * 4) SECOND AS ts, 'i' || hash(i) AS image_id, 0 AS n_detections, 0 AS confidence_n, "
            "0 AS confidence_sum, 1 AS batch_id FROM range(800000) AS t(i)",
            {"first": BASE - timedelta(seconds=3_200_000)},
        )
    done = prune(detmon, older_than="7d")
    assert done["predictions"] == {"m": 800000 - 7 * 86400 // 4}
    free, size = done["bytes_free"], done["bytes_before"]
    assert isinstance(free, int)
    assert isinstance(size, int)
    assert free > 0.4 * size
