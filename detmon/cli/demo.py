"""`detmon demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detmon.cli import options, output

if TYPE_CHECKING:
    from detmon.demo import Story

SIGNS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "=", "ne": "!="}
app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def demo(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where to work; nothing outside is touched.")] = Path("detmon-demo"),
    json: options.Json = False,
) -> None:
    """Make a month of a small camera fleet, watch it, and show what happened.

    Example: detmon demo
    """
    story = options.client(ctx).run_demo(folder)
    if json:
        output.document(story)
    else:
        _tell(story)


def _tell(story: Story) -> None:
    taken = story.ingested
    boxes = f"{taken.predictions:,} images, {taken.detections:,} boxes"
    output.line(f"{story.days} days of {story.cameras} cameras: {boxes}.")
    output.line(f"What was done to them: {story.done}.")
    output.line(f"What {len(story.alerts)} alert rules found, checked {story.checks} times:")
    output.line()
    for rule in story.alerts:
        found = [one for one in story.episodes if one["alert"] == rule.name]
        where = " ".join(sorted({output.cell(one["labels"]) for one in found} - {"-"}))
        said = f"fired {len(found)}x, first {found[0]['start']:%a %d %b %H:%M}  {where}" if found else "never fired"
        condition = f"{rule.metric} {SIGNS[rule.operator]} {rule.threshold:g} over {rule.window}"
        output.line(f"  {rule.name:<21} {condition:<30} {said}".rstrip())
    output.line()
    output.line("Firing now:")
    output.line()
    for one in story.firing:
        value = f"{output.cell(one.value)} {output.cell(one.labels)}".removesuffix(" -")
        output.line(f"  FIRING  {one.alert:<21} since {one.since:%a %d %b %H:%M} UTC  {value}")
    output.line()
    between = f"{story.drift.current_period} against {story.drift.reference_period}"
    output.wrapped(f"Drift, {between}: {story.drift.reason}")
    output.line()
    _quality(story)
    output.line()
    output.line(f"{story.notices} notices were sent, to {story.folder}/notices.jsonl. Look around:")
    output.line()
    for command in (
        f"cd {story.folder}",
        "detmon status",
        f"detmon metric show avg_confidence --model {story.model_id} --by source --period 'last 3d' --every 1d",
        "detmon alert list",
        "detmon alert history 'Low Confidence Alert'",
        f"detmon drift check --model {story.model_id}",
        f"detmon quality show --model {story.model_id}",
        "detmon notify test stdout:",
    ):
        output.line(f"  {command}")


def _quality(story: Story) -> None:
    found, truth = story.quality, story.truth
    output.line(
        f"Quality, from {story.reviewed:,} of {story.ingested.predictions:,} images, chosen by the data engine:"
    )
    output.line()
    for name, one, true in (("precision", found.precision, truth.precision), ("recall", found.recall, truth.recall)):
        interval = f"95 % interval {one.low:.3f} to {one.high:.3f}"
        output.line(f"  {name:<10} {one.value:.3f}   {interval}   (true, which only the demo knows: {true:.3f})")
    output.line(f"  of the reviewed boxes {story.reviewed_share:.3f} are right: doubtful images were chosen more often")
