"""Buckets: a permanent, evenly spread number in [0, 1) for every unit, the same on every machine."""

from __future__ import annotations

import hashlib


def bucket(salt: str, unit: str) -> float:
    """The bucket of `unit` under `salt`: 52 bits of SHA-256, exact in a double (docs/statistics.md, "Buckets").

    A salt must not hold a colon: `t:a` with `b` and `t` with `a:b` would be the same text.
    """
    digest = hashlib.sha256(f"{salt}:{unit}".encode()).hexdigest()
    return int(digest[:13], 16) / 16**13
