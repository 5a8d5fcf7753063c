"""What `{name}` stands for in the settings of a trainer."""

from __future__ import annotations

import re
from collections.abc import Mapping

from detmon.errors import UnknownName, UsageError
from detmon.hookspecs import TrainingTask

PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}|\{([A-Za-z_]\w*)\}")
"""`{name}` stands for a value, `{{name}}` for the text `{name}`; other braces are text."""


def values(task: TrainingTask) -> dict[str, str | None]:
    """The values of one task; `base_model` may be None."""
    return {
        "dataset": str(task.dataset),
        "base_model": task.base_model,
        "output": str(task.output),
        "job": task.id,
        "name": task.name,
        "version": task.version_id,
        "digest": task.digest,
    }


def filled(text: str, known: Mapping[str, str | None], where: str) -> str:
    """`text` with values for placeholders; what is in a value is not looked at again.

    Raises UnknownName, and UsageError for one without a value.
    """

    def value(match: re.Match[str]) -> str:
        literal, name = match.groups()
        if literal is not None:
            return f"{{{literal}}}"
        if name not in known:
            raise UnknownName(f"placeholder of {where}", f"{{{name}}}", [f"{{{one}}}" for one in known])
        found = known[name]
        if found is None:
            raise UsageError(f"{where} wants {{{name}}}, and this job has none", "--base-model MODEL names it")
        return found

    return PLACEHOLDER.sub(value, text)
