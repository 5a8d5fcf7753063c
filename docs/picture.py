"""Draws docs/demo.svg, the terminal of the README: `python docs/picture.py`, in an environment with detmon."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

NOW = "2026-11-21T00:00:00Z"


def main() -> None:
    """Run the demo, and show what its terminal shows."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "detmon", "--now", NOW, "demo"],
            cwd=folder,
            env={**os.environ, "COLUMNS": "108"},
            check=True,
            capture_output=True,
            text=True,
        )
    console = Console(record=True, width=108, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    console.print(Text("$ detmon demo", style="bold"))
    for line in done.stdout.splitlines():
        text = Text(line)
        text.highlight_words(["FIRING"], style="bold red")
        console.print(text)
    svg = console.export_svg(title="detmon", unique_id="detmon")
    svg = re.sub(r"\s*@font-face \{.*?\}\n", "", svg, flags=re.S)  # the picture asks nobody for a font
    svg = svg.replace("<svg ", '<svg xml:space="preserve" ', 1)  # or leading blanks are lost
    (Path(__file__).parent / "demo.svg").write_text(svg, "utf-8")


if __name__ == "__main__":
    main()
