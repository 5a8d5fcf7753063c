"""Which side of a split images are on: all images of one source and day on the same, so that neighbours never face
one another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

SALT = "detmon"
VAL_SHARE = 0.2
FAR = 0.1
"""A share of validation images that is further from the wanted one is said."""


@dataclass(frozen=True)
class Group:
    """Images that stay together; `held`: the side on which a parent version had them."""

    key: str
    images: int
    held: str | None = None


def place(salt: str, key: str) -> float:
    """A group's number in [0, 1), for ever: the first 64 bits of sha256(salt:key)."""
    return int(sha256(f"{salt}:{key}".encode()).hexdigest()[:16], 16) / 2**64


def sides(groups: Iterable[Group], salt: str, share: float) -> dict[str, str]:
    """`train` or `val` for each group: `val` where its number is below the share, wherever the parent did not say it.

    Where that leaves nothing to train on, or nothing to validate with, the new group nearest to the border changes
    over; a single group is for training.
    """
    listed = list(groups)
    found = {one.key: one.held or ("val" if place(salt, one.key) < share else "train") for one in listed}
    movable = sorted((place(salt, one.key), one.key) for one in listed if one.held is None)
    if movable and "train" not in found.values():
        found[movable[-1][1]] = "train"
    elif movable and share and len(found) > 1 and "val" not in found.values():
        found[movable[0][1]] = "val"
    return found
