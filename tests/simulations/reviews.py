"""Reviews: how well precision and recall from a biased sample meet the truth of a simulated process."""

from __future__ import annotations

import argparse

from .rows import Row, report

ROWS: list[Row] = []


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing beyond the common options."""


def main(arguments: argparse.Namespace) -> bool:
    """Print the table."""
    return report(ROWS, arguments.rows, arguments.replicates)
