"""The store: one DuckDB file, opened for as short as can be.

Readers share the file, a writer excludes everybody (that is DuckDB's own lock), so every use is a `with` block:
`reading()` for queries, `writing()` for changes, `transaction(con)` around what must hold together. Nothing that waits
for a network or a terminal belongs inside one. SQL lives in `sql/`, one question a file; `statement(name)` reads it.
"""

from detmon.store.files import Connection, Store, connect, newest_schema, pruned_before, statement, transaction

__all__ = ["Connection", "Store", "connect", "newest_schema", "pruned_before", "statement", "transaction"]
