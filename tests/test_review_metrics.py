"""The metrics that come from reviews, in `metric show` and in alerts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import Shell
from stored import Row, at, store, text
from verdicts import Verdict, judge

DAY = 86400


def reviewed(folder: Path, days: int = 2, images: int = 40, scope: str = "exhaustive") -> None:
    """Every image reviewed: a right car, a person that is right in three of four; a person missed in each tenth."""
    boxes = (("car", 0.9), ("person", 0.5))
    total = days * images
    rows = [Row(at(n * DAY / images), source=f"cam-{n % 2 + 1}", tags=[("site", "abc"[n % 3])]) for n in range(total)]
    store(folder, [Row(row.ts, source=row.source, boxes=boxes, tags=row.tags) for row in rows])
    cars = [Verdict(f"p{n}", "correct", 0, scope) for n in range(total)]
    people = [Verdict(f"p{n}", "correct" if n % 4 else "false_positive", 1, scope) for n in range(total)]
    missed = [Verdict(f"p{n}", "missed_object", None, scope, "person") for n in range(0, total, 10)]
    judge(folder, [*cars, *people, *missed])


def show(detmon: Shell, metric: str, *options: object) -> list[dict[str, Any]]:
    period = f"{text(0)}/{text(2 * DAY)}"
    args = ("metric", "show", metric, "--model", "m", "--period", period, *options, "--json")
    found: list[dict[str, Any]] = detmon(*args).json["points"]
    return found


def test_they_are_those_of_quality_show(detmon: Shell) -> None:
    reviewed(detmon.folder)
    report = detmon("quality", "show", "--model", "m", "--json").json
    for metric, n in (("precision", 160), ("recall", 148)):
        (point,) = show(detmon, metric)
        assert point["n"] == n
        assert {key: point[key] for key in ("value", "low", "high")} == {
            key: report[metric][key] for key in ("value", "low", "high")
        }
    (score,) = show(detmon, "feedback_score")
    assert (score["value"], score["n"], score["low"], score["reason"]) == (140 / 160, 160, None, None)


def test_verdicts_count_on_the_day_of_their_prediction(detmon: Shell) -> None:
    reviewed(detmon.folder)
    store(detmon.folder, [Row(at(3 * DAY), boxes=[("car", 0.9)])])
    points = show(detmon, "precision", "--every", "1d")
    assert [(point["value"], point["n"]) for point in points] == [(70 / 80, 80)] * 2
    later = ("metric", "show", "precision", "--model", "m", "--period", f"{text(2 * DAY)}/{text(4 * DAY)}", "--json")
    (point,) = detmon(*later).json["points"]
    assert (point["value"], point["n"], point["reason"]) == (None, 0, "no_feedback")


def test_label_sets(detmon: Shell) -> None:
    reviewed(detmon.folder)
    labels = {point["labels"]["label"]: point["value"] for point in show(detmon, "precision", "--by", "label")}
    assert labels == {"car": 1.0, "person": 60 / 80}
    (person,) = show(detmon, "recall", "--where", "label=person")
    assert person["value"] == 60 / 68
    sources = {point["labels"]["source"]: point["n"] for point in show(detmon, "precision", "--by", "source")}
    assert sources == {"cam-1": 80, "cam-2": 80}
    both = show(detmon, "feedback_score", "--by", "tag:site", "--where", "source=cam-1")
    assert {point["labels"]["tag:site"]: point["n"] for point in both} == {"a": 28, "b": 26, "c": 26}
    assert {point["reason"] for point in both} == {"insufficient_samples"}
    (nothing,) = show(detmon, "precision", "--where", "label=boat")
    assert (nothing["value"], nothing["n"], nothing["reason"]) == (None, 0, "insufficient_samples")


@pytest.mark.parametrize(
    ("scope", "metric", "reason"),
    [("boxes_only", "recall", "boxes_only"), ("exhaustive", "precision", "not_sampled")],
)
def test_refusals_are_reasons(detmon: Shell, scope: str, metric: str, reason: str) -> None:
    reviewed(detmon.folder, scope=scope)
    if reason == "not_sampled":
        store(detmon.folder, [Row(at(n), boxes=[("car", 0.9)]) for n in range(100)])
    (point,) = show(detmon, metric)
    assert (point["value"], point["low"], point["reason"]) == (None, None, reason)
    (detmon.folder / "detmon.toml").write_text("[quality]\nassume_random = true\n", "utf-8")
    (point,) = show(detmon, "precision")
    assert point["value"] == 140 / 160


def test_alerts_watch_them(detmon: Shell) -> None:
    reviewed(detmon.folder)
    rule = ("--operator", "lt", "--threshold", "0.9", "--window", "2d")
    detmon("alert", "create", "worse", "--model", "m", "--metric", "precision", *rule)
    detmon("alert", "create", "blind", "--model", "m", "--metric", "recall", *rule, "--min-samples", "500")
    check = detmon("--now", text(2 * DAY), "alert", "check", "--json").json
    states = {one["alert"]: (one["state"], one["health"], one["n"]) for one in check["instances"]}
    assert states == {"worse": ("firing", "ok", 160), "blind": ("no_data", "no_data", 148)}


def test_a_window_without_reviews_is_no_evidence(detmon: Shell) -> None:
    store(detmon.folder, [Row(at(-1 - n), boxes=[("car", 0.9)]) for n in range(100)])
    rule = ("--operator", "lt", "--threshold", "0.9", "--window", "1h")
    detmon("alert", "create", "worse", "--model", "m", "--metric", "feedback_score", *rule)
    check = detmon("--now", text(0), "alert", "check", "--json").json
    (one,) = check["instances"]
    assert (one["state"], one["health"]) == ("no_data", "no_data")
