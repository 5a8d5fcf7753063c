"""Regular expressions that no pattern can make slow."""

from __future__ import annotations

from detmon.errors import UsageError
from detmon.store import Connection, statement


class Re2:
    """Matches regular expressions with the engine of the store (RE2): linear in the text, whatever the pattern."""

    def __init__(self, con: Connection) -> None:
        self._con = con
        self._known: dict[tuple[str, str], bool] = {}

    def __call__(self, pattern: str, text: str) -> bool:
        """Whether the whole `text` matches `pattern`. Raises UsageError for what is no pattern."""
        import duckdb

        if (pattern, text) not in self._known:
            values = {"pattern": pattern, "text": text}
            try:
                row = self._con.execute(statement("full_match"), values).fetchone()
            except duckdb.InvalidInputException as error:
                reason = str(error).splitlines()[0].removeprefix("Invalid Input Error: ")
                raise UsageError(f"not a regular expression: {reason}", "the syntax is RE2's") from None
            self._known[pattern, text] = row == (True,)
        return self._known[pattern, text]
