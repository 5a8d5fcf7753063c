"""`detmon alert`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from detmon.cli import options, output, silence
from detmon.cli.backtest_report import backtest_report
from detmon.cli.report import ReportFormat
from detmon.cli.report import show as show_report
from detmon.errors import Interrupted
from detmon.records import comparison

if TYPE_CHECKING:
    from detmon.alerts.records import AlertCheck, AlertEvent
    from detmon.alerts.show import AlertHistoryRow, AlertRow, AlertRule

app = options.noun()
app.add_typer(silence.app, name="silence")

Alert = Annotated[str, typer.Argument(help="The alert's id or name.")]
Model = Annotated[str | None, typer.Option("--model", help="Its model, where the name is not enough.")]
Length = str | None


@app.command("create")
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The alert's name.")],
    model: Annotated[str, typer.Option(help="The model's id or name.")],
    metric: Annotated[str, typer.Option(help="A metric of `detmon metric list`.")],
    operator: Annotated[str, typer.Option(help="lt, le, gt, ge, eq, ne or anomaly.")],
    window: Annotated[str, typer.Option(help="The time before each slot that is measured.")],
    threshold: Annotated[
        str | None, typer.Option(help="What the metric is compared with; anomaly: the score (3.5).")
    ] = None,
    every: Annotated[Length, typer.Option(help="Distance of the slots (default: 5m, or the window).")] = None,
    delay: Annotated[Length, typer.Option(help="Wait so long for late rows.")] = None,
    by: Annotated[list[str] | None, typer.Option(help="One instance a source, label or tag:NAME.")] = None,
    where: Annotated[list[str] | None, typer.Option(help="Only rows with NAME=VALUE.")] = None,
    for_: Annotated[Length, typer.Option("--for", help="The breach must last so long.")] = None,
    keep_firing_for: Annotated[Length, typer.Option(help="Stay firing so long after the last breach.")] = None,
    recover_threshold: Annotated[str | None, typer.Option(help="While firing, compare with this.")] = None,
    relative_to: Annotated[
        str | None, typer.Option(help="baseline: compare the change from the model's normal; -0.1 is 10 % less.")
    ] = None,
    min_samples: Annotated[int | None, typer.Option(min=0, help="Below it there is no verdict.")] = None,
    no_data: Annotated[str | None, typer.Option(help="no_data, ok, alerting or keep.")] = None,
    no_data_for: Annotated[Length, typer.Option(help="Missing data must last so long to be told.")] = None,
    on_error: Annotated[str | None, typer.Option(help="error, ok, alerting or keep.")] = None,
    error_for: Annotated[Length, typer.Option(help="An error must last so long to be told.")] = None,
    repeat: Annotated[str | None, typer.Option(help="Remind while firing (default: 4h), or never.")] = None,
    send_resolved: Annotated[bool | None, typer.Option(help="Tell the end, too (default: yes).")] = None,
    notify: Annotated[list[str] | None, typer.Option(help="Whom to tell: email:ADDRESS, slack:#channel …")] = None,
    severity: Annotated[str | None, typer.Option(help="info, warning, error or critical.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="A label of the rule's own, NAME=VALUE.")] = None,
    description: Annotated[str | None, typer.Option(help="What it means, for whoever is told.")] = None,
    runbook: Annotated[str | None, typer.Option(help="Address of the page that says what to do.")] = None,
    catch_up: Annotated[Length, typer.Option(help="Missed slots are made up so far back (default: 24h).")] = None,
    forget_after: Annotated[Length, typer.Option(help="Forget a label set without data (default: 7d).")] = None,
    max_instances: Annotated[int | None, typer.Option(min=1, help="Most label sets (default: 500).")] = None,
    flap: Annotated[str | None, typer.Option(help="Damp N firings within D (default: 3/1h), or off.")] = None,
    direction: Annotated[str | None, typer.Option(help="anomaly: both, up or down.")] = None,
    sensitivity: Annotated[str | None, typer.Option(help="anomaly: low, normal or high.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Change the alert of this name.")] = False,
    json: options.Json = False,
) -> None:
    """Make a rule: tell me when this metric does that.

    Example: detmon alert create low --model vehicles@3 --metric avg_confidence --operator lt --threshold .7 --window 1h
    """
    client = options.client(ctx)
    rule = client.create_alert(model, name, _said(locals()), replace=replace)
    _print_rule(rule, json)
    if advice := client.advise_alert(rule.id):
        (output.warn if advice.loud else output.note)(advice.text)


_FIELDS = (
    "metric", "operator", "threshold", "window", "every", "delay", "by", "where", "for_", "keep_firing_for",
    "recover_threshold", "relative_to", "min_samples", "no_data", "no_data_for", "on_error", "error_for", "repeat",
    "send_resolved", "notify", "severity", "label", "description", "runbook", "catch_up", "forget_after",
    "max_instances", "flap", "direction", "sensitivity",
)  # fmt: skip


def _said(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a rule among the options that were given."""
    said = {key: given[key] for key in _FIELDS if given[key] not in (None, [])}
    for option, field in (("where", "where"), ("label", "labels")):
        if option in said:
            said[field] = options.pairs(said.pop(option))
    return said


@app.command("check")
def check(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these alerts.")] = None,
    model: Annotated[str | None, typer.Option(help="Only the alerts of this model.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Evaluate and print; write nothing.")] = False,
    no_send: Annotated[bool, typer.Option("--no-send", help="Leave the notices for `notify send`.")] = False,
    exit_code: options.ExitCode = False,
    heartbeat: Annotated[
        str | None, typer.Option(help="GET this address when it is done.", envvar="DETMON_HEARTBEAT_URL")
    ] = None,
    env_file: Annotated[
        Path | None, typer.Option(help="KEY=VALUE lines for the environment; only its owner may read the file.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Evaluate every rule that is due, record what changed, deliver what is to be told. Run it from cron.

    Example: detmon alert check --exit-code
    """
    client = options.client(ctx)
    client.use_env_file(env_file)
    heartbeat = None if dry_run else heartbeat or os.environ.get("DETMON_HEARTBEAT_URL")  # the file may name it
    client.send_heartbeat(heartbeat, "/start")
    code = 4
    try:
        result = client.check_alerts(
            names or (), model, dry_run=dry_run, send=not no_send, console=output.console(json)
        )
        _print_check(result, json)
        code = _exit_code(result, exit_code)
    except Interrupted as stopped:
        _print_check(cast("AlertCheck", stopped.result), json)
        raise
    finally:
        client.send_heartbeat(heartbeat, "/fail" if code == 4 else "")
    raise typer.Exit(code)


def _print_check(result: AlertCheck, json: bool) -> None:
    if json:
        output.document(result)
    else:
        for event in result.events:
            output.line(_event_line(event))
        if sys.stdout.isatty():
            states = [instance.state for instance in result.instances]
            counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
            held = sum(instance.held_by is not None for instance in result.instances)
            counts += f"; {held} held" if held else ""
            output.note(f"rules {result.rules}, slots {result.slots}: {counts or 'nothing to judge'}")
    for failure in result.failed:
        output.problem(f"{failure.alert}: {failure.error}")
    for problem in (*result.warnings, *result.delivery.problems):
        output.warn(problem)


def _exit_code(result: AlertCheck, wanted: bool) -> int:
    if result.failed or result.delivery.failed:
        return 4
    states = {instance.state for instance in result.instances} if wanted else set()
    return 3 if states & {"no_data", "error"} else int("firing" in states)


@app.command("backtest")
@options.borrowing(create, _FIELDS)
def backtest(
    ctx: typer.Context,
    alert: Annotated[str | None, typer.Argument(help="The alert's id or name; none: a rule by its options.")] = None,
    period: Annotated[str | None, typer.Option(help="What is replayed (default: the last 28 days of data).")] = None,
    model: Annotated[str | None, typer.Option(help="The model's id or name.")] = None,
    json: options.Json = False,
    format: Annotated[ReportFormat, typer.Option("--format", help="How to print it.")] = ReportFormat.text,
    **fields: Any,
) -> None:
    """Say how often a rule would have fired; nothing is written. The options of `create` make or change the rule.

    Example: detmon alert backtest "Low Confidence Alert" --threshold 0.65 --for 15m
    """
    found = options.client(ctx).backtest_alert(alert, model, _said(fields), period=period)
    show_report(backtest_report(found), found, ReportFormat.json if json else format)


@app.command("list")
def list_(
    ctx: typer.Context,
    model: Model = None,
    json: options.Json = False,
    format: options.Rows = output.Format.table,
) -> None:
    """List the alerts and their state, one row an instance.

    Example: detmon alert list --format csv
    """
    rows = options.client(ctx).list_alerts(model)
    chosen = options.chosen(format, json)
    if chosen is output.Format.table:
        columns = ["name", "labels", "state", "value", "since", "about", "rule", "n", "model_id"]
        output.rows(map(_shown, rows), columns, empty="no alerts yet")
    else:
        output.rows(rows, format=chosen)


def _shown(row: AlertRow) -> Mapping[str, Any]:
    """An instance as tables show it."""
    since = output.moment(row.since) if row.since else None
    rule = f"{row.metric} {row.operator} {row.threshold:g} over {row.window}"
    return {**row.to_dict(), "since": since, "rule": rule, "about": _about(row)}


def _about(row: AlertRow) -> str | None:
    """What holds its notices back, and what the value was compared with, or why there is no verdict."""
    held = f"held by {row.held_by.replace(':', ' ', 1)}" if row.held_by else None
    reason = "learning what is usual" if row.health_reason == "learning" else row.health_reason
    return ", ".join(filter(None, (held, comparison(row.detail), reason, row.hint))) or None


@app.command("show")
def show(ctx: typer.Context, alert: Alert, model: Model = None, json: options.Json = False) -> None:
    """Show one rule with every default filled in, and the state of its instances.

    Example: detmon alert show "Low Confidence Alert" --json
    """
    rule = options.client(ctx).show_alert(alert, model)
    if json:
        output.document(rule)
    else:
        said = rule.to_dict()
        said.pop("instances")
        output.pairs(said)
        output.line()
        output.rows(map(_shown, rule.instances), ["labels", "state", "value", "n", "since", "about"])


@app.command("history")
def history(
    ctx: typer.Context,
    alert: Alert,
    model: Model = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Beside it, what the slots would find today: late rows are seen now.")
    ] = False,
    json: options.Json = False,
    format: options.Rows = output.Format.table,
) -> None:
    """Show what happened to a rule: events, skipped slots, notices, silences, acknowledgements.

    Example: detmon alert history "Low Confidence Alert"
    """
    if recompute:
        revised = options.client(ctx).recompute_alert(alert, model)
        output.rows(revised, format=options.chosen(format, json), empty="nothing happened, and nothing would now")
        return
    rows, chosen = options.client(ctx).alert_history(alert, model), options.chosen(format, json)
    if chosen is output.Format.table:
        shown = [{**row.to_dict(), "slot": output.moment(row.slot), "what": _what(row)} for row in rows]
        columns = ["slot", "what", "labels", "value", "reason", "n", "status", "target"]
        output.rows(shown, columns, empty="nothing happened yet")
    else:
        output.rows(rows, format=chosen)


def _what(row: AlertHistoryRow) -> str:
    return f"notice {row.kind}" if row.what == "notice" else row.kind


@app.command("delete")
def delete(ctx: typer.Context, alert: Alert, model: Model = None, json: options.Json = False) -> None:
    """Remove a rule; its history stays.

    Example: detmon alert delete "Low Confidence Alert"
    """
    _print_rule(options.client(ctx).delete_alert(alert, model), json)


@app.command("enable")
def enable(ctx: typer.Context, alert: Alert, model: Model = None, json: options.Json = False) -> None:
    """Go on with a paused rule; the slots of the pause are not made up.

    Example: detmon alert enable "Low Confidence Alert"
    """
    _print_rule(options.client(ctx).enable_alert(alert, model), json)


@app.command("disable")
def disable(ctx: typer.Context, alert: Alert, model: Model = None, json: options.Json = False) -> None:
    """Pause a rule; what is open is closed, and told so.

    Example: detmon alert disable "Low Confidence Alert"
    """
    _print_rule(options.client(ctx).disable_alert(alert, model), json)


@app.command("ack")
def ack(
    ctx: typer.Context,
    alert: Alert,
    labels: Annotated[list[str] | None, typer.Argument(metavar="[K=V]...", help="Only what has these labels.")] = None,
    model: Model = None,
    comment: Annotated[str | None, typer.Option(help="What is being done about it.")] = None,
    author: Annotated[str | None, typer.Option(help="Who (default: your user name).")] = None,
    json: options.Json = False,
    format: options.Rows = output.Format.table,
) -> None:
    """Say that somebody knows of what fires: no more reminders of it. It ends with the episode.

    Example: detmon alert ack "Low Confidence Alert" source=cam-3 --comment "on it"
    """
    acks = options.client(ctx).ack_alert(alert, options.pairs(labels), model, comment=comment, author=author)
    output.rows(acks, ["alert", "labels", "author", "comment"], format=options.chosen(format, json))


@app.command("forget")
def forget(
    ctx: typer.Context,
    alert: Alert,
    labels: Annotated[list[str], typer.Argument(metavar="K=V...", help="The labels of what is gone.")],
    model: Model = None,
    json: options.Json = False,
    format: options.Rows = output.Format.table,
) -> None:
    """Drop what is gone for good (a camera): what is open of it is closed, and told so.

    Example: detmon alert forget "Camera down" source=cam-3
    """
    gone = options.client(ctx).forget_alert(alert, options.pairs(labels), model)
    output.rows(gone, ["alert", "model_id", "labels", "state"], format=options.chosen(format, json))


def _print_rule(rule: AlertRule, json: bool) -> None:
    if json:
        output.document(rule)
    else:
        output.line(rule.id)


def _event_line(event: AlertEvent) -> str:
    """`FIRING  Low Confidence  vehicles@3 source=cam-3  avg_confidence 0.642 lt 0.7  n 412  since …`."""
    who = " ".join([event.model_id, *(f"{key}={value}" for key, value in event.labels.items())])
    parts = [event.kind.upper(), event.alert, who]
    if event.value is not None:
        parts.append(f"{event.metric} {output.cell(event.value)} {event.operator} {event.threshold:g}")
    if usual := comparison(event.detail):
        parts.append(usual)
    if event.n is not None:
        parts.append(f"n {event.n}")
    if event.reason:
        parts.append(event.reason)
    parts.append(f"since {(event.fired_at or event.slot):%Y-%m-%dT%H:%MZ}")
    if event.held_by:
        parts.append(f"held by {event.held_by.replace(':', ' ', 1)}")
    return "  ".join(parts)
