"""`detmon engine`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detmon.cli import options, output

if TYPE_CHECKING:
    from detmon.data_engine.records import DataEngine, EngineRun

SHOWN = 8
"""So many classes are named."""

app = options.noun()


@app.command("configure")
def configure(
    ctx: typer.Context,
    model: Annotated[str, typer.Option(help="The model's id or name.")],
    dataset: Annotated[str | None, typer.Option(help="Where flagged predictions go (default: as configured).")] = None,
    file: Annotated[
        Path | None, typer.Option(help="TOML file with the strategies (default: [models.NAME.engine] of detmon.toml).")
    ] = None,
    retake: Annotated[
        bool, typer.Option("--retake", help="Take usual box sizes and classes from the log anew.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Say which of a model's predictions people should look at. The same again changes nothing.

    Example: detmon engine configure --model vehicles@3 --dataset review --file engine.toml
    """
    engine = options.client(ctx).configure_data_engine(model, target_dataset_id=dataset, file=file, retake=retake)
    if json:
        output.document(engine)
    else:
        _print_engine(engine)


@app.command("run")
def run(
    ctx: typer.Context,
    model: Annotated[str | None, typer.Option(help="Only the engines of this model.")] = None,
    period: Annotated[str | None, typer.Option(help="Scan this period again, for example 'last 7d'.")] = None,
    json: options.Json = False,
) -> None:
    """Scan the predictions that arrived since the last run, and flag some for review. Run it from cron.

    Example: detmon engine run
    """
    done = options.client(ctx).run_data_engine(model_id=model, period=period)
    if json:
        output.document(done)
    else:
        _print_run(done)
    for warning in done.warnings:
        output.warn(warning.message)


@app.command("show")
def show(
    ctx: typer.Context,
    model: Annotated[str | None, typer.Option(help="Only the engines of this model.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only the engines of this dataset.")] = None,
    json: options.Json = False,
) -> None:
    """Show the engines: their strategies, what they took from the log, what they have scanned.

    Example: detmon engine show --model vehicles@3
    """
    engines = options.client(ctx).show_engines(model_id=model, dataset_id=dataset)
    if json:
        output.document(engines)
    elif not engines:
        output.note("no engines yet")
    for engine in () if json else engines:
        _print_engine(engine)


def _print_run(done: EngineRun) -> None:
    output.line(f"scanned {done.scanned:,} predictions, flagged {done.flagged:,}")
    if done.already_flagged:
        output.line(f"{done.already_flagged:,} were flagged before")
    output.pairs({reason: f"{n:>9,}" for reason, n in done.by_reason.items()})


def _print_engine(engine: DataEngine) -> None:
    output.heading(f"{engine.model_id} → {engine.dataset}, revision {engine.revision}")
    shown: dict[str, Any] = {}
    for name, table in engine.config.items():
        if name == "budget":
            said = {key: value for key, value in table.items() if value is not None}
        elif name == "salt":
            continue
        else:
            said = {k: v for k, v in table.items() if k != "enabled" and v is not None} if table["enabled"] else {}
        shown[name] = " ".join(f"{key}={output.cell(value)}" for key, value in said.items()) or "off"
    output.pairs({**shown, "salt": engine.salt, **_taken(engine)})
    output.line(f"scanned {engine.scanned:,} predictions in {engine.batches:,} batches, last run {_when(engine)}")


def _taken(engine: DataEngine) -> dict[str, Any]:
    taken = engine.taken
    if taken is None:
        waits = engine.config["rare_classes"]["enabled"] or engine.config["new_classes"]["enabled"]
        return {"known classes": "none yet: taken in the first run that finds predictions"} if waits else {}
    return {
        "usual area": f"{taken['min_area']:.3g} to {taken['max_area']:.3g} of the image",
        "known classes": _some(sorted(taken["classes"])),
        "rare classes": _some(taken["rare_classes"]),
        "taken from": f"{taken['start']} to {taken['end']}",
    }


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more or "none"


def _when(engine: DataEngine) -> str:
    return "never" if engine.last_run is None else f"{engine.last_run:%Y-%m-%d %H:%M} UTC"
