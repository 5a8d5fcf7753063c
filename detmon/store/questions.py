"""Questions of the user's own, in SQL: the store only, nothing else of the machine, nothing written."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Mapping
from typing import Any

from detmon.errors import UsageError
from detmon.store.files import Connection

CLOSED = (
    "SET python_enable_replacements = false",  # no variables of this program as tables
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
"""What shuts a read-only connection in: no files, no network, and no way to open them again."""


def ask(con: Connection, query: str) -> list[dict[str, Any]]:
    """The rows that `query` gives, by column. Shuts `con` in. Raises UsageError for what DuckDB does not accept."""
    import duckdb

    for setting in CLOSED:
        con.execute(setting)
    try:
        if not con.extract_statements(query):
            raise UsageError("the question is empty", 'for example "SELECT count(*) FROM predictions"')
        found = con.execute(query)
        names = _distinct([column[0] for column in found.description or ()])
        return [{name: _plain(value) for name, value in zip(names, row, strict=True)} for row in found.fetchall()]
    except duckdb.Error as error:
        if "pytz" in str(error):
            raise UsageError("a time with a zone cannot be shown", "cast it: column::TIMESTAMP is its UTC") from None
        first, *more = str(error).splitlines()
        hint = next((line.strip() for line in more if line.strip() and not line.startswith("LINE")), None)
        raise UsageError(first, hint) from None


def _distinct(names: list[str]) -> list[str]:
    """Column names, with `_2`, `_3` … for those that come again."""
    found: dict[str, int] = {}
    for name in names:
        while name in found:
            found[name] += 1
            name = f"{name}_{found[name]}"
        found[name] = 1
    return list(found)


def _plain(value: Any) -> Any:
    """A value of DuckDB's as JSON can carry it; instants stay instants."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str | datetime.datetime):
        return value
    return str(value)
