"""Thresholds relative to the baseline."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Result, Shell
from outbox_help import lines
from stored import Row, at, store, text

HOUR = 3600


def images(
    first: float, last: float, *, latency: float = 20, step: float = 60, source: str = "a", label: str = "car"
) -> list[Row]:
    """An image a minute in these hours, with one box."""
    times = range(int(first * HOUR), int(last * HOUR), int(step))
    return [Row(at(ts), source=source, latency=latency, boxes=[(label, 0.8)]) for ts in times]


def baseline(detmon: Shell, first: float = -48, last: float = -24) -> None:
    detmon("--now", text(0), "baseline", "set", "--model", "m", "--period", f"{text(first * HOUR)}/{text(last * HOUR)}")


def create(
    detmon: Shell, *options: object, metric: str = "avg_latency_ms", threshold: float = 0.1, code: int = 0
) -> Result:
    given = ("--metric", metric, "--operator", "gt" if threshold > 0 else "lt", f"--threshold={threshold}")
    common = (f"rel {metric}", "--model", "m", "--window", "1h", "--relative-to", "baseline")
    return detmon("--now", text(0), "alert", "create", *common, *given, *options, code=code)


def check(detmon: Shell, hours: float = 0, code: int = 0) -> Any:
    return detmon("--now", text(hours * HOUR), "alert", "check", "--json", code=code).json


def test_the_change_is_compared_and_told(detmon: Shell) -> None:
    told = detmon.folder / "told.jsonl"
    store(detmon.folder, [*images(-48, -24), *images(-1, 0, latency=21.9), *images(0, 1, latency=22.1)])
    baseline(detmon)
    create(detmon, "--every", "1h", "--notify", f"file:{told}")
    [instance] = check(detmon)["instances"]
    assert instance["state"] == "ok"
    assert instance["detail"] == {"baseline": 20, "change": pytest.approx(0.095)}
    [event] = check(detmon, 1)["events"]
    assert (event["kind"], event["threshold"]) == ("firing", 0.1)
    assert event["value"] == pytest.approx(22.1)
    [message] = lines(told)
    assert "threshold > +10 % of the baseline" in message["text"]
    assert "10.5 % above the baseline of 20" in message["text"]
    assert "10.5 % above the baseline of 20" in detmon("alert", "list").out


def test_exactly_the_threshold_is_no_breach(detmon: Shell) -> None:
    store(detmon.folder, [*images(-48, -24, latency=0.7), *images(-1, 0, latency=0.77)])
    baseline(detmon)
    create(detmon)
    create(detmon, "--operator", "ge", "--replace")
    assert [i["state"] for i in check(detmon)["instances"]] == ["firing"]
    create(detmon, "--replace")
    assert [i["state"] for i in check(detmon, 1 / 12)["instances"]] == ["ok"]


def test_recovery_is_on_the_change(detmon: Shell) -> None:
    falling = [row for hour, level in enumerate([25, 21.5, 20.5]) for row in images(hour - 1, hour, latency=level)]
    store(detmon.folder, [*images(-48, -24), *falling])
    baseline(detmon)
    create(detmon, "--every", "1h", "--recover-threshold", 0.05)
    assert [check(detmon, hour)["instances"][0]["state"] for hour in range(3)] == ["firing", "firing", "ok"]


def test_each_label_set_has_its_own_normal_else_the_models(detmon: Shell) -> None:
    store(
        detmon.folder,
        [
            *images(-48, -24),
            *images(-48, -24, source="b", latency=40),
            *(row for source in "abc" for row in images(-1, 0, source=source, latency=30)),
        ],
    )
    baseline(detmon)
    create(detmon, "--by", "source")
    found = {i["labels"]["source"]: (i["state"], i["detail"]["baseline"]) for i in check(detmon)["instances"]}
    assert found == {"a": ("firing", 20), "b": ("ok", 40), "c": ("ok", 30)}
    create(detmon, "--where", "source=b", "--replace")
    assert [i["detail"]["baseline"] for i in check(detmon, 1 / 12)["instances"]] == [40]


def test_counts_are_of_as_long_a_time_and_never_of_another_label_set(detmon: Shell) -> None:
    rows = [*images(-48, -24), *images(-1, 0, step=90), *images(-1, 0, source="new")]
    store(detmon.folder, rows)
    baseline(detmon)
    create(detmon, "--by", "source", metric="prediction_count", threshold=-0.2)
    a, new = check(detmon)["instances"]
    assert (a["state"], a["value"], a["detail"]["baseline"]) == ("firing", 40, 60)
    assert (new["state"], new["health"]) == ("error", "error")
    assert "source=new has no value in the baseline: detmon baseline set --model m" in new["health_reason"]


def test_shares_of_a_label(detmon: Shell) -> None:
    rows = [
        *images(-48, -24),
        *images(-48, -24, label="truck", step=180),
        *images(-1, 0),
        *images(-1, 0, label="truck"),
    ]
    store(detmon.folder, rows)
    baseline(detmon)
    create(detmon, "--by", "label", "--by", "source", metric="class_share", threshold=0.5)
    found = {i["labels"]["label"]: (i["state"], i["detail"]["baseline"]) for i in check(detmon)["instances"]}
    assert found == {"car": ("ok", 0.75), "truck": ("firing", 0.25)}


def test_without_a_baseline_it_is_an_error_that_names_the_command(detmon: Shell) -> None:
    store(detmon.folder, [*images(-48, -24), *images(-1, 1, latency=30)])
    create(detmon)
    [failed] = check(detmon, code=4)["failed"]
    assert "m has no baseline: detmon baseline set --model m" in failed["error"]
    baseline(detmon)
    assert [e["kind"] for e in check(detmon, 1 / 12)["events"]] == ["firing"]  # from the next slot on
    baseline(detmon, -1, 0)
    assert [e["kind"] for e in check(detmon, 2 / 12)["events"]] == ["resolved"]


def test_nothing_is_relative_to_nothing(detmon: Shell) -> None:
    store(detmon.folder, [*images(-48, -24), *images(-1, 0)])
    baseline(detmon)
    create(detmon, metric="error_rate")
    [failed] = check(detmon, code=4)["failed"]
    assert "error_rate is 0 in the baseline" in failed["error"]


def test_what_has_no_baseline_is_refused(detmon: Shell) -> None:
    store(detmon.folder, images(-1, 0))
    assert "class_drift has no value in a baseline" in create(detmon, metric="class_drift", code=2).err
