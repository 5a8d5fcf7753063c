"""`python -m tests.simulations NAME`: measure what docs/statistics.md claims; exits 1 if a row fails."""

from __future__ import annotations

import argparse
import importlib
import sys

MODULES = ("ab", "anomaly", "drift", "power", "reviews", "caps")
"""Each a module beside this one, with `add_arguments(parser)` and `main(arguments) -> bool`: whether all rows hold."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulations", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in MODULES:
        module = importlib.import_module(f".{name}", __package__)
        command = commands.add_parser(name, help=module.__doc__.splitlines()[0])
        command.add_argument("--rows", default="", help="only these, by comma: D1,D5")
        command.add_argument("--replicates", type=int, help="so many a row, instead of its own")
        module.add_arguments(command)
        command.set_defaults(run=module.main)
    arguments = parser.parse_args()
    return 0 if arguments.run(arguments) else 1


if __name__ == "__main__":
    sys.exit(main())
