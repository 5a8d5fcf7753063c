"""`detmon ab`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detmon.cli import options, output, report
from detmon.cli.report import Report, ReportFormat, Section, Table

if TYPE_CHECKING:
    from detmon.ab_tests.records import ABPlan, ABResults

app = options.noun()

Test = Annotated[str, typer.Argument(help="The test's id or name.")]
Split = Annotated[float | None, typer.Option("--traffic-split", help="B's share of the units (default: 0.1).")]
Days = Annotated[int | None, typer.Option("--duration-days", help="How long it runs (default: 7).")]
Unit = Annotated[str | None, typer.Option(help="What one arm serves as a whole: image_id (default), source, tag:NAME.")]
Mode = Annotated[str | None, typer.Option(help="daily (default): a look a day; always: no planned end; fixed.")]


@app.command("create")
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A name for the test.")],
    model_a: Annotated[str, typer.Option(help="The model that serves now.")],
    model_b: Annotated[str, typer.Option(help="The model that is to be tried.")],
    traffic_split: Split = None,
    metric: Annotated[list[str] | None, typer.Option(help="What to compare; the first is the primary one.")] = None,
    duration_days: Days = None,
    start: Annotated[str | None, typer.Option(help="When it begins (default: now).")] = None,
    unit: Unit = None,
    mode: Mode = None,
    json: options.Json = False,
) -> None:
    """Compare two models on the traffic that each of them gets, or on the same images.

    Example: detmon ab create "v3 against v4" --model-a vehicles@3 --model-b vehicles@4 --traffic-split 0.1
    """
    said = {
        "traffic_split": traffic_split,
        "metrics": metric or None,
        "duration_days": duration_days,
        "unit": unit,
        "mode": mode,
    }
    config = {key: value for key, value in said.items() if value is not None}
    made = options.client(ctx).create_ab_test(name, model_a, model_b, config, start=start)
    if json:
        output.document(made)
    else:
        output.line(made.id)


@app.command("assign")
def assign(
    ctx: typer.Context,
    test: Test,
    units: Annotated[list[str], typer.Argument(help="Units, or - for one a line on standard input.")],
    json: options.Json = False,
    format: options.Rows = output.Format.table,
) -> None:
    """Say which model serves a unit: by a hash that any router can compute itself (docs/ab.md).

    Example: detmon ab assign "v3 against v4" cam-1/0001.jpg cam-1/0002.jpg
    """
    streamed = units == ["-"]
    given = (line.rstrip("\r\n") for line in sys.stdin) if streamed else iter(units)
    found = options.client(ctx).assign_ab_test(test, (unit for unit in given if unit))
    rows = ({"unit": one.unit, "arm": one.arm, "model_id": one.model_id} for one in found)
    if streamed and not json:
        output.stream(rows, format)
    else:
        output.rows(rows, format=options.chosen(format, json), empty="no units")


@app.command("results")
def results(
    ctx: typer.Context,
    test: Test,
    json: options.Json = False,
    format: Annotated[ReportFormat, typer.Option("--format", help="How to print it.")] = ReportFormat.text,
) -> None:
    """Compare the arms at the last complete day; looking more often changes nothing.

    Example: detmon ab results "v3 against v4"
    """
    found = options.client(ctx).get_ab_test_results(test)
    report.show(_report(found), found, ReportFormat.json if json else format)


@app.command("plan")
def plan(
    ctx: typer.Context,
    model: Annotated[str, typer.Option(help="The model that serves now: its last 28 days are looked at.")],
    metric: Annotated[str, typer.Option(help="What is to differ.")] = "confidence",
    traffic_split: Split = None,
    duration_days: Days = None,
    unit: Unit = None,
    mode: Mode = None,
    json: options.Json = False,
    format: Annotated[ReportFormat, typer.Option("--format", help="How to print it.")] = ReportFormat.text,
) -> None:
    """How many units and days a test needs to find a difference of 2 and of 5 %.

    Example: detmon ab plan --model vehicles@3 --metric detections_per_image
    """
    said = {"traffic_split": traffic_split, "duration_days": duration_days, "unit": unit, "mode": mode}
    given: dict[str, Any] = {key: value for key, value in said.items() if value is not None}
    found = options.client(ctx).plan_ab_test(model, metric, **given)
    report.show(_plan(found), found, ReportFormat.json if json else format)


@app.command("list")
def list_(ctx: typer.Context, json: options.Json = False, format: options.Rows = output.Format.table) -> None:
    """List the tests.

    Example: detmon ab list
    """
    columns = ["id", "name", "status", "day", "duration_days", "model_a_id", "model_b_id", "traffic_split", "start"]
    tests = options.client(ctx).list_ab_tests()
    output.rows(tests, columns, format=options.chosen(format, json), empty="no tests yet")


@app.command("stop")
def stop(ctx: typer.Context, test: Test, json: options.Json = False) -> None:
    """End a test before its time; its complete days count.

    Example: detmon ab stop "v3 against v4"
    """
    found = options.client(ctx).stop_ab_test(test)
    if json:
        output.document(found)
    else:
        output.line(f"{found.name}: {found.status} on day {found.day} of {found.duration_days}")


@app.command("promote")
def promote(
    ctx: typer.Context,
    test: Test,
    alias: Annotated[str, typer.Option(help="The alias that the winner gets.")] = "champion",
    force: Annotated[bool, typer.Option("--force", help="Also without a winner: model B.")] = False,
    json: options.Json = False,
) -> None:
    """Give the winner an alias, by which every command then finds it.

    Example: detmon ab promote "v3 against v4" --force
    """
    model = options.client(ctx).promote_ab_test(test, alias, force=force)
    if json:
        output.document(model)
    else:
        output.line(f"{model.id} is {alias}")


# --- reports -------------------------------------------------------------------------------------------------------

_ARM = {
    "units": "units",
    "predictions": "predictions",
    "detections": "detections",
    "avg_confidence": "mean confidence",
    "detections_per_image": "detections per image",
    "avg_latency_ms": "mean latency, ms",
    "p95_latency_ms": "p95 latency, ms",
    "p99_latency_ms": "p99 latency, ms",
    "reviewed": "reviewed images",
    "feedback_score": "precision by reviews",
}


_GUARDED = {
    "recall": "recall of the more precise arm minus the other's",
    "detections_per_image": "boxes per image, B's over A's",
    "p95_latency_ms": "share of B slower than 1.1 times A's p95",
}


def _report(found: ABResults) -> Report:
    a, b = found.model_a, found.model_b
    how = "shadow, same images" if found.shadow else f"by {found.unit}"
    title = f"{found.name}: {a.model_id} (A) against {b.model_id} (B), day {found.day} of {found.duration_days}, {how}"
    arms = [
        {"": name, "A": a[key], "B": b[key]} for key, name in _ARM.items() if a[key] is not None or b[key] is not None
    ]
    sections = []
    if arms:
        sections.append(Section("The arms", [Table(arms), *_agreement(found)]))
    if found.effects:
        sections.append(
            Section("B minus A", [Table(list(_effects(found)), ["metric", "difference", "95 %", "p", "by"])])
        )
    if any(look["boundary"] is not None for look in found.looks):
        metric = next(iter(found.p_values))
        rows = [
            {"day": look["day"], "z": look["z"], "boundary": look["boundary"], "": _beyond(look)}
            for look in found.looks
        ]
        text = "A test that is looked at every day has to pass a higher bar early on."
        sections.append(Section(f"Day by day: {metric}", [text, Table(rows)]))
    if found.guardrails:
        rows = [{**one, "is": _GUARDED[one["metric"]]} for one in found.guardrails]
        sections.append(Section("What must not get worse", [Table(rows)]))
    if found.warnings:
        sections.append(Section("To bear in mind", [f"{one.code}: {one.message}" for one in found.warnings]))
    return Report(title, found.verdict, sections)


def _agreement(found: ABResults) -> list[str]:
    if found.agreement is None:
        return []
    return [f"{found.agreement:.1%} of A's boxes have a box of B of the same label at an IoU of 0.5."]


def _effects(found: ABResults) -> Iterator[dict[str, Any]]:
    for metric, effect in found.effects.items():
        low, high = effect["low"], effect["high"]
        yield {
            "metric": metric,
            "difference": effect["difference"],
            "95 %": None if low is None else f"{low:.4g} to {high:.4g}",
            "p": found.p_values.get(metric),
            "by": effect.get("reason") or effect["method"],
        }


def _beyond(look: Any) -> str:
    return "beyond" if look["boundary"] is not None and abs(look["z"]) >= look["boundary"] else ""


def _plan(found: ABPlan) -> Report:
    title = f"A test of {found.model_id}, {found.metric} by {found.unit}"
    if found.reason:
        return Report(title, found.reason)
    rows = [{**row, "effect": f"{row['effect']:.0%}"} for row in found.effects]
    columns = [
        "effect",
        "traffic_split",
        "units_a",
        "units_b",
        *(["days"] if found.unit == "image_id" else []),
        "enough",
    ]
    said = found.advice or (f"{found.duration_days} days at a split of {found.traffic_split:g} find both effects.",)
    return Report(
        title,
        " ".join(f"{one[0].upper()}{one[1:].rstrip('.')}." for one in said),
        [Section("What it takes", [Table(rows, columns)])],
    )
