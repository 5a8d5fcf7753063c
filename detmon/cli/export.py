"""`detmon export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from detmon.cli import options, output

app = options.noun()


@app.command("prometheus")
def prometheus(
    ctx: typer.Context,
    out: Annotated[Path | None, typer.Option(help="The file, replaced at once (default: standard output).")] = None,
    window: Annotated[str, typer.Option(help="The time before now that metrics are taken of.")] = "1h",
    json: options.Json = False,
) -> None:
    """Write metrics, alerts and counters in the text format of Prometheus. Run it from cron, after the check.

    Example: detmon export prometheus --out /var/lib/node_exporter/detmon.prom
    """
    done = options.client(ctx).export_prometheus(out, window)
    if json:
        output.document(done)
    elif out is None:
        output.verbatim(done.text)
    else:
        output.note(f"{done.samples} samples in {done.out}")
