"""`drift check`, through the front door: fleets whose truth is known, and real logs."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import Shell

from detmon import demo

START = datetime(2026, 10, 5)
DAYS = 35
NOW = "2026-11-09T00:00:00Z"
KEYS = [
    "model_id", "reference_period", "current_period", "class_drift", "confidence_drift", "count_drift",
    "significant_drift", "reason", "reason_code", "affected_classes", "classes", "new_classes", "gone_classes",
    "silent_sources", "effects", "day_part_effects", "usual_range", "detectable_change", "excluded_share", "blocks",
    "source_mix", "confidence_ks", "confidence_w1", "volumes", "histograms", "warnings",
]  # fmt: skip


@pytest.fixture(scope="module")
def fleets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Stores of a small fleet with a bad last week, and without one."""
    from detmon import Client

    folder = tmp_path_factory.mktemp("fleets")
    found = {}
    for name, bad_days in (("bad", 7), ("good", 0)):
        world = demo.World(start=START, days=DAYS, cameras=4, seconds=600, bad_days=bad_days)
        demo.write_logs(world, folder / name)
        found[name] = folder / f"{name}.duckdb"
        Client(found[name], now=NOW).ingest(folder / name)
    return found


def check(detmon: Shell, db: Path, *args: object, code: int = 0) -> Any:
    return detmon("--db", db, "--now", NOW, "drift", "check", *args, "--json", code=code).json


def test_a_bad_week_is_drift(detmon: Shell, fleets: dict[str, Path]) -> None:
    found = check(detmon, fleets["bad"])
    assert list(found) == KEYS
    assert found["model_id"] == demo.MODEL
    assert found["significant_drift"] is True
    assert (found["reference_period"], found["current_period"]) == ("2026-10-04:2026-10-31", "2026-11-02:2026-11-08")
    assert found["blocks"] == {"size": "1d", "reference": 27, "current": 7, "usual": 7}
    assert found["effects"]["avg_confidence"]["change"] < -0.03
    assert found["effects"]["avg_confidence"]["adjusted_p"] < 0.01
    assert found["confidence_drift"] > found["usual_range"]["confidence_drift"]["max"]
    assert "mean confidence" in found["reason"]
    assert {effect["part"] for effect in found["day_part_effects"]} & {"00-06", "18-24"}
    check(detmon, fleets["bad"], "--exit-code", code=1)


def test_a_good_week_is_none(detmon: Shell, fleets: dict[str, Path]) -> None:
    found = check(detmon, fleets["good"], "--exit-code")
    assert found["significant_drift"] is False
    assert found["affected_classes"] == found["silent_sources"] == []
    assert found["detectable_change"]["avg_confidence"] > 0
    assert "this check could see" in found["reason"]


def test_no_predictions_is_no_verdict(detmon: Shell, fleets: dict[str, Path]) -> None:
    found = check(detmon, fleets["good"], "--current", "2027-01-01:2027-01-07", "--exit-code", code=3)
    assert found["significant_drift"] is None
    assert found["reason_code"] == "no_predictions"
    assert found["class_drift"] is None
    assert "from 2026-10-05 to 2026-11-08" in found["warnings"][0]["message"]


def test_too_few_days_show_distances_only(detmon: Shell, fleets: dict[str, Path]) -> None:
    periods = ("--reference", "2026-10-10:2026-10-12", "--current", "2026-10-20:2026-10-21", "--block", "1d")
    found = check(detmon, fleets["good"], *periods, "--exit-code", code=3)
    assert found["significant_drift"] is None
    assert found["reason_code"] == "too_few_blocks"
    assert 0 < found["class_drift"] < 1
    assert found["blocks"] == {"size": None, "reference": 0, "current": 0, "usual": 0}


def test_a_baseline_is_the_default_reference(detmon: Shell, fleets: dict[str, Path], tmp_path: Path) -> None:
    db = tmp_path / "copy.duckdb"
    db.write_bytes(fleets["good"].read_bytes())
    with_clock = ("--db", db, "--now", NOW)
    made = detmon(*with_clock, "baseline", "set", "--model", demo.MODEL, "--period", "2026-10-06:2026-10-20", "--json")
    assert made.json["period"] == "2026-10-06:2026-10-20"
    values = {str(value["labels"]): value for value in made.json["metrics"]["avg_confidence"]}
    assert 0.7 < values["{}"]["value"] < 0.9
    assert values["{'source': 'cam-1'}"]["n"] > 100
    assert values["{'label': 'car'}"]["n"] > 100
    assert detmon(*with_clock, "baseline", "show", "--json").json == [made.json]
    assert check(detmon, db)["reference_period"] == "2026-10-06:2026-10-20"
    overlapping = check(detmon, db, "--current", "2026-10-18:2026-10-24")
    assert overlapping["reference_period"] == "2026-10-06:2026-10-17"
    assert [warning["code"] for warning in overlapping["warnings"]] == ["overlap_removed"]
    refused = detmon(*with_clock, "drift", "check", "--current", "2026-10-01:2026-10-24", code=2)
    assert "covers the whole reference" in refused.err


def test_two_logs_without_a_store(detmon: Shell, fleets: dict[str, Path]) -> None:
    logs = fleets["bad"].parent / "bad"
    reference = [str(file) for file in sorted(logs.glob("*.parquet"))[:28]]
    current = [str(file) for file in sorted(logs.glob("*.parquet"))[28:]]
    args = [*(f"--reference-log={name}" for name in reference), *(f"--current-log={name}" for name in current)]
    found = detmon("drift", "check", *args, "--json").json
    assert not (detmon.folder / "detmon.duckdb").exists()
    stored = check(detmon, fleets["bad"], "--reference", "2026-10-05:2026-11-01")
    assert found == stored


def test_a_log_against_itself(detmon: Shell, fleets: dict[str, Path]) -> None:
    logs = fleets["good"].parent / "good"
    found = detmon("drift", "check", "--reference-log", logs, "--current-log", logs, "--json").json
    assert found["class_drift"] == found["confidence_drift"] == found["count_drift"] == 0
    assert found["significant_drift"] is False
    assert "same_predictions" in [warning["code"] for warning in found["warnings"]]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--model", "vehicels"), "did you mean"),
        (("--block", "2d"), "from 1s to 1d"),
        (("--block", "often"), "auto, source"),
        (("--by", "label"), "unknown --by"),
        (("--current", "yesterday"), "is not a period"),
        (("--reference-log", "x.parquet"), "both"),
        (("--tz", "UTC"), "go with --reference-log"),
        (("--reference-log", "-", "--current-log", "-"), "one log only"),
    ],
)
def test_wrong_calls_are_told(detmon: Shell, fleets: dict[str, Path], args: tuple[str, ...], said: str) -> None:
    assert said in detmon("--db", fleets["good"], "--now", NOW, "drift", "check", *args, code=2).err


def test_by_source(detmon: Shell, fleets: dict[str, Path]) -> None:
    found = check(detmon, fleets["bad"], "--by", "source")
    assert [one["source"] for one in found["sources"]] == ["cam-1", "cam-2", "cam-3", "cam-4"]
    dirty = found["sources"][demo.World.dirty]
    assert dirty["significant_drift"] is True
    assert list(dirty) == [*KEYS, "source"]
    assert (
        sum(one["volumes"]["current"]["images"] for one in found["sources"]) == (found["volumes"]["current"]["images"])
    )


def test_the_report(detmon: Shell, fleets: dict[str, Path]) -> None:
    db = ("--db", fleets["bad"], "--now", NOW, "drift", "check")
    text = detmon(*db).out
    assert text.startswith(f"Drift of {demo.MODEL}\nDrift. ")
    by_source = detmon(*db, "--by", "source").out
    assert "Drift of single sources: cam-" in by_source
    table = by_source[by_source.index("\nSources\n") :].splitlines()[2:8]
    assert max(map(len, table)) <= 80
    markdown = detmon(*db, "--format", "markdown").out
    assert markdown.startswith("## Drift of vehicles&#64;3")
    assert "<h2>Values</h2>" in detmon(*db, "--format", "html").out


def test_a_silent_source_is_a_finding(detmon: Shell) -> None:
    world = demo.World(start=START, days=20, cameras=4, seconds=600, bad_days=0)
    gone = START + timedelta(days=18)
    import pyarrow.compute as pc
    import pyarrow.parquet as parquet

    for path in demo.write_logs(world, detmon.folder / "logs"):
        table = parquet.read_table(path)
        if path.stem >= f"{gone:%Y-%m-%d}":
            parquet.write_table(table.filter(pc.not_equal(table["source"], "cam-2")), path)
    detmon("ingest", "logs")
    args = ("--now", "2026-10-25T00:00:00Z", "drift", "check", "--json", "--exit-code", "--current")
    found = detmon(*args, "2026-10-21:2026-10-24", "--reference", "2026-10-05:2026-10-19", code=1).json
    assert found["silent_sources"] == ["cam-2"]
    assert found["significant_drift"] is False
    assert "source_silent" not in [warning["code"] for warning in found["warnings"]]


def test_a_zone_moves_the_days(detmon: Shell) -> None:
    """Days of half-hour zones, and of a week in which the clocks change, are the model's own."""
    world = demo.World(start=datetime(2026, 3, 15), days=22, cameras=2, seconds=1200, bad_days=0)
    demo.write_logs(world, detmon.folder / "logs")
    found = {}
    for zone in ("UTC", "Asia/Kolkata", "Europe/Madrid"):
        db = ("--db", detmon.folder / f"{zone.replace('/', '-')}.duckdb", "--now", "2026-04-06T00:00:00Z")
        detmon(*db, "model", "register", "vehicles", "--version", "3", "--zone", zone)
        detmon(*db, "ingest", "logs")
        found[zone] = detmon(*db, "drift", "check", "--json").json
    assert found["UTC"]["current_period"] == "2026-03-30:2026-04-05"
    assert found["Asia/Kolkata"]["current_period"] == "2026-03-30:2026-04-05"
    assert found["Asia/Kolkata"]["volumes"] != found["UTC"]["volumes"]
    assert {zone: one["blocks"]["current"] for zone, one in found.items()} == dict.fromkeys(found, 7)
    clocks = found["Europe/Madrid"]
    assert clocks["current_period"] == "2026-03-30:2026-04-05"
    assert clocks["reference_period"] == "2026-03-01:2026-03-28"
    through = detmon(*db, "drift", "check", "--current", "2026-03-29:2026-04-03", "--json").json
    assert through["volumes"]["current"]["images"] == 2 * 3 * (6 * 24 - 1)  # the day of 23 hours is a day


def test_hours_of_a_day_are_compared_with_the_same_hours(detmon: Shell, fleets: dict[str, Path]) -> None:
    found = check(detmon, fleets["good"], "--current", "2026-11-08T09:10:00Z/2026-11-08T15:40:00Z")
    assert found["blocks"]["size"] == "1d"
    assert found["blocks"]["current"] == 1
    assert found["blocks"]["reference"] >= 25
    assert found["volumes"]["current"]["images"] == 4 * 39
    assert "same_time_of_day" in [warning["code"] for warning in found["warnings"]]


def test_long_periods_leave_the_report_in_80_columns(detmon: Shell, fleets: dict[str, Path]) -> None:
    args = ("--db", fleets["good"], "--now", "2026-11-08T15:40:01.123456Z", "drift", "check", "--current", "last 6h")
    lines = detmon(*args).out.splitlines()
    assert "current: 2026-11-08T09:40:01.123456Z/2026-11-08T15:40:01.123456Z" in lines
    table = lines[lines.index("Compared") : lines.index("Values")]
    assert max(map(len, table)) <= 80


def test_a_log_split_otherwise_gives_the_same(detmon: Shell, fleets: dict[str, Path]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    logs = sorted((fleets["bad"].parent / "bad").glob("*.parquet"))
    whole = pa.concat_tables([parquet.read_table(path) for path in logs])
    shuffled = whole.take(pa.array(range(whole.num_rows - 1, -1, -1)))
    for number, first in enumerate(range(0, whole.num_rows, 7001)):
        parquet.write_table(shuffled.slice(first, 7001), detmon.folder / f"part-{number}.parquet")
    detmon("ingest", *(detmon.folder / "part-0.parquet",))
    detmon("ingest", *sorted(detmon.folder.glob("part-*.parquet")))
    assert check(detmon, detmon.folder / "detmon.duckdb", "--by", "source") == check(
        detmon, fleets["bad"], "--by", "source"
    )


def test_settings_are_checked(detmon: Shell, fleets: dict[str, Path]) -> None:
    def said(text: str, code: int = 2) -> str:
        (detmon.folder / "detmon.toml").write_text(f"[drift]\n{text}\n", "utf-8")
        return detmon("--db", fleets["good"], "--now", NOW, "drift", "check", "--json", code=code).err

    assert "unknown key 'min_efect'" in said("min_efect = 1")
    assert "between 0 and 1" in said("q = 5")
    assert "whole number" in said("min_class = 0.5")
    assert "three decimals" in said("low_confidence = 0.12345")
    assert 'weekend = ["Sat", "Sun"]' in said('weekend = ["sunday"]')
    said('weekend = ["Fri"]\nlow_confidence = 0.4', code=0)
    (detmon.folder / "detmon.toml").write_text("[drift]\nmin_reference_blocks = 60\n", "utf-8")
    assert check(detmon, fleets["good"], "--block", "1d")["reason_code"] == "too_few_blocks"


def test_what_the_reports_look_like(detmon: Shell, fleets: dict[str, Path]) -> None:
    """A change here is a change of what people read: look at it, then write the new output there."""
    golden = Path(__file__).parent / "golden"
    periods = ("--reference", "2026-10-05:2026-11-01", "--current", "2026-11-02:2026-11-08")
    for name, format in (("drift.txt", "text"), ("drift.md", "markdown")):
        out = detmon("--db", fleets["bad"], "--now", NOW, "drift", "check", *periods, "--format", format).out
        shown = "".join(line.rstrip() + "\n" for line in out.splitlines())
        assert shown == (golden / name).read_text("utf-8")
    columns = [line for line in (golden / "drift.txt").read_text("utf-8").splitlines() if "   " in line]
    assert len(columns) > 40
    assert max(map(len, columns)) <= 80
