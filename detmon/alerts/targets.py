"""Where the news of rules goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detmon.hookspecs import Capabilities


@dataclass(frozen=True)
class Targets:
    """`default` are the targets of rules that name none; `capabilities` says what the channel of any target can do.

    To answer it plugins are loaded, so it is asked only when there is news.
    """

    default: Sequence[str]
    capabilities: Callable[[str], Capabilities]
