"""Places where a test can make this process fail: `DETMON_FAILPOINT=NAME[=ARG],…`. Inert unless set."""

from __future__ import annotations

import os
import signal
import sys
from functools import cache


def reach(name: str) -> None:
    """Kill this process, as `kill -9` would, if the failpoint `name` is set."""
    if name in _set(os.environ.get("DETMON_FAILPOINT", "")):
        os.kill(os.getpid(), signal.SIGKILL)


def argument(name: str) -> str | None:
    """What the failpoint `name` is set to (`""` without an argument); None when it is not set."""
    return _set(os.environ.get("DETMON_FAILPOINT", "")).get(name)


@cache
def _set(text: str) -> dict[str, str]:
    if not text:
        return {}
    sys.stderr.write(f"warning: DETMON_FAILPOINT={text} is set: detmon fails on purpose\n")
    sys.stderr.flush()
    parts = (part.strip().partition("=") for part in text.split(","))
    return {name: value for name, _, value in parts if name}
