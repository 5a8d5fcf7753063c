"""detmon watches object-detection models in production.

Public: `Client`, the errors, `hookimpl`, and the modules `detmon.hookspecs`, `detmon.testing`
and `detmon.log` (for model servers, standard library only).
Everything is loaded when it is first used: cron starts this package every minute.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detmon.client import Client
    from detmon.errors import (
        ConfigError,
        DetmonError,
        InputRefused,
        OperationError,
        StoreError,
        StoreLocked,
        TargetError,
        UnknownName,
        UsageError,
    )
    from detmon.hookspecs import hookimpl

__version__ = "0.1.0"
__all__ = [
    "Client",
    "ConfigError",
    "DetmonError",
    "InputRefused",
    "OperationError",
    "StoreError",
    "StoreLocked",
    "TargetError",
    "UnknownName",
    "UsageError",
    "hookimpl",
]
_HOMES = {"Client": "detmon.client", "hookimpl": "detmon.hookspecs"}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(_HOMES.get(name, "detmon.errors")), name)
    raise AttributeError(f"module 'detmon' has no attribute {name!r}")
