"""The options of `ingest` that say how a log is read, for other verbs that read logs."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_type_hints

from detmon.cli.ingest import READING, ingest


def reading_options(verb: Callable[..., None]) -> Callable[..., None]:
    """`verb(…, **reading)` with the reading options that it has not itself; its help does not list them again."""
    own = inspect.signature(verb).parameters
    hints = get_type_hints(ingest, include_extras=True)
    others = inspect.signature(ingest).parameters
    added = [others[name].replace(annotation=_hidden(hints[name])) for name in READING if name not in own]
    kept = [parameter for parameter in own.values() if parameter.kind is not parameter.VAR_KEYWORD]
    verb.__signature__ = inspect.Signature([*kept, *added])  # type: ignore[attr-defined]
    verb.__annotations__ = {
        **{name: hint for name, hint in verb.__annotations__.items() if name in own},
        **{parameter.name: parameter.annotation for parameter in added},
    }
    return verb


def given(reading: dict[str, Any]) -> dict[str, Any]:
    """The reading options that were given."""
    return {name: value for name, value in reading.items() if value not in (None, False, [])}


def _hidden(hint: Any) -> Any:
    kind, option = get_args(hint)[:2]
    option = copy.copy(option)
    option.hidden = True
    return Annotated[kind, option]
