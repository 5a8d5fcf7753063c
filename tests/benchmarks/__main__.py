"""`python -m tests.benchmarks [NAME …] [--images N] [--times K]`: the speed budgets, measured on this machine.

Ratios of whole processes that run in turns; medians. Nothing is asserted: machines differ, ratios less so.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))


def main() -> None:
    """Print the table, a row as soon as it is measured."""
    known = sorted(file.stem for file in HERE.glob("*.py") if file.stem not in ("__main__", "__init__", "measure"))
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("names", nargs="*", default=known, metavar="NAME", help=f"which: {', '.join(known)}")
    parser.add_argument("--images", type=int, default=1_000_000, help="size of the log (default: 1,000,000)")
    parser.add_argument("--times", type=int, default=5, help="runs of each work (default: 5)")
    asked = parser.parse_args()
    print("| work | against | budget | measured | |\n|---|---|---|---|---|", flush=True)
    for name in asked.names:
        with tempfile.TemporaryDirectory(prefix="detmon-benchmark-") as folder:
            for row in importlib.import_module(f"benchmarks.{name}").rows(Path(folder), asked.images, asked.times):
                print(f"| {row.work} | {row.unit} | {row.budget} | {row.measured} | {row.detail} |", flush=True)


if __name__ == "__main__":
    main()
