"""`detmon demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detmon.cli import options, output

if TYPE_CHECKING:
    from detmon.records import Story

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
    output.line(
        f"{story.days} days of {story.cameras} cameras: {taken.predictions:,} images, {taken.detections:,} boxes "
        f"in {len(taken.files)} files."
    )
    output.line(f"{len(story.alerts)} alert rules, checked {story.checks} times. What happened:")
    output.line()
    for rule in story.alerts:
        name = rule.name
        labels = sorted({output.cell(one["labels"]) for one in story.episodes if one["alert"] == name} - {"-"})
        about = f"{rule.metric} {rule.operator} {rule.threshold:g} over {rule.window}"
        found = [one for one in story.episodes if one["alert"] == name]
        where = f" on {', '.join(labels)}" if labels else ""
        output.line(f"  {name:<21} {about:<31} fired {len(found)} times{where}")
        if found:
            first = min(one["start"] for one in found)
            output.line(f"  {'':<21} {'':<31} first {first:%a %Y-%m-%d %H:%M} UTC")
    output.line()
    for one in story.firing:
        since = f"since {one.since:%a %Y-%m-%d %H:%M} UTC"
        output.line(f"  FIRING  {one.alert}  {output.cell(one.labels)}  {output.cell(one.value)}  {since}")
    output.line()
    output.line(f"{story.notices} notices went to {story.folder}/notices.jsonl. Look around:")
    output.line()
    for command in (
        f"cd {story.folder}",
        "detmon status",
        f"detmon metric show avg_confidence --model {story.model_id} --by source --period 'last 3d' --every 1d",
        "detmon alert list",
        "detmon alert history 'Low Confidence Alert'",
        "detmon notify test stdout:",
    ):
        output.line(f"  {command}")
