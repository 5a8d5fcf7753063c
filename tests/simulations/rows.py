"""A table of claims: each row simulates a world many times and counts how often something happened."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Measured:
    """How often (`hits` of `n`), or how large; and what others said of the same data."""

    hits: float
    n: int
    others: dict[str, str] = field(default_factory=dict)
    also: bool = True
    """Whether the row's further conditions hold."""


@dataclass(frozen=True)
class Row:
    """One claim. `run(replicates)` measures; `low <= hits <= high` for the full number of `replicates`."""

    id: str
    world: str
    replicates: int
    run: Callable[[int], Measured]
    low: float | None = None
    high: float | None = None

    @property
    def bound(self) -> str:
        """The bound in words."""
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        return f"at most {self.high:g}" if self.high is not None else f"at least {self.low:g}"

    def holds(self, measured: Measured) -> bool:
        """Whether the measured figure is within the bound; for fewer replicates, three standard errors around it."""
        low, high = (self._scaled(bound, measured.n, side) for bound, side in ((self.low, -1), (self.high, 1)))
        return (low is None or measured.hits >= low) and (high is None or measured.hits <= high) and measured.also

    def _scaled(self, bound: float | None, n: int, side: int) -> float | None:
        if bound is None or n == self.replicates:
            return bound
        share = bound / self.replicates
        return n * share + side * 3 * math.sqrt(n * share * (1 - share))


def report(rows: Iterable[Row], chosen: str = "", replicates: int | None = None) -> bool:
    """Print the table, a row as it is measured; whether all the rows hold.

    `chosen`: ids, by comma. With fewer `replicates` than a row's own the bound is as much wider as chance wants.
    """
    wanted = {name.strip() for name in chosen.split(",") if name.strip()}
    known = list(rows)
    if unknown := wanted - {row.id for row in known}:
        raise SystemExit(f"error: no row {', '.join(sorted(unknown))}; rows: {', '.join(row.id for row in known)}")
    fine = True
    heads: list[str] | None = None
    for row in known:
        if wanted and row.id not in wanted:
            continue
        measured = row.run(replicates or row.replicates)
        if heads is None:
            heads = ["id", "world", "must hold", "measured", "", *measured.others]
            print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
        holds = row.holds(measured)
        fine = fine and holds
        figure = f"{measured.hits:g} of {measured.n}"
        bound = f"{row.bound} of {row.replicates}"
        cells = [
            row.id,
            row.world,
            bound,
            figure,
            "ok" if holds else "FAIL",
            *(measured.others.get(head, "") for head in heads[5:]),
        ]
        print("| " + " | ".join(cells) + " |", flush=True)
    return fine
