"""The options of `ingest` that say how a log is read, for other verbs that read logs."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_type_hints

from detmon.cli.ingest import READING, ingest


def reading_options(verb: Callable[..., None]) -> Callable[..., None]:
    """`verb(…, **reading)` with the reading options that it has not itself; its help does not list them again."""
    own, hints = inspect.signature(verb).parameters, get_type_hints(verb, include_extras=True)
    others, others_hints = inspect.signature(ingest).parameters, get_type_hints(ingest, include_extras=True)
    kept = [
        parameter.replace(annotation=hints[name])
        for name, parameter in own.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    ]
    added = [
        others[name].replace(annotation=_hidden(others_hints[name]), kind=inspect.Parameter.KEYWORD_ONLY)
        for name in READING
        if name not in own
    ]
    verb.__signature__ = inspect.Signature([*kept, *added])  # type: ignore[attr-defined]
    verb.__annotations__ = {parameter.name: parameter.annotation for parameter in (*kept, *added)}
    return verb


def given(reading: dict[str, Any]) -> dict[str, Any]:
    """The reading options that were given."""
    return {name: value for name, value in reading.items() if value not in (None, False, [])}


def _hidden(hint: Any) -> Any:
    kind, option = get_args(hint)[:2]
    option = copy.copy(option)
    option.hidden = True
    return Annotated[kind, option]
