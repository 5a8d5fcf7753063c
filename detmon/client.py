"""`Client`: a method a verb. The command line and Python users come through the same door."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from detmon import config as configuration
from detmon import models, times
from detmon.records import Model, Settings
from detmon.store import Store, transaction


class Client:
    """detmon from Python.

    `db` is the store's file, `config` a configuration file, `now` a fixed clock (RFC 3339 text or a datetime; a naive
    one is UTC). All three default as on the command line. A client keeps nothing open between calls.
    """

    def __init__(
        self,
        db: str | Path | None = None,
        config: str | Path | None = None,
        now: str | datetime | None = None,
        *,
        lock_timeout: float | None = None,
        note: Callable[[str], None] | None = None,
    ) -> None:
        wait = None if lock_timeout is None else timedelta(seconds=lock_timeout)
        self.config = configuration.load(Path(config) if config else None, db=db, lock_timeout=wait)
        self.store = Store(self.config.db, self.config.lock_timeout.total_seconds())
        self._fixed_now = times.parse_instant(now) if isinstance(now, str) else now
        self._note = note or (lambda _: None)

    def now(self) -> datetime:
        """The client's clock: the fixed one, or the system's; naive UTC."""
        return times.naive_utc(self._fixed_now) if self._fixed_now else times.system_now()

    # --- models ---

    def register_model(
        self, name: str, version: str | None = None, uri: str | None = None, zone: str | None = None
    ) -> Model:
        """Register a model as `NAME@VERSION` (`NAME` without a version)."""
        if zone is not None:
            times.parse_zone(zone)
        with self.store.writing(create=True) as con, transaction(con):
            return models.register(con, name, version, uri, zone, self.now())

    def list_models(self) -> list[Model]:
        """All models, by id."""
        with self.store.reading() as con:
            return models.every(con)

    def get_model(self, id_or_name: str) -> Model:
        """One model by its id, or by its name when that fits one model only."""
        with self.store.reading() as con:
            return models.find(con, id_or_name)

    # --- configuration ---

    def show_config(self) -> Settings:
        """The settings in force, with secrets masked."""
        shown = configuration.masked(self.config.data)
        files = tuple(str(file) for file in self.config.files)
        return Settings(str(self.config.db), self.config.lock_timeout, files, shown)

    def init_config(self, folder: str | Path = ".") -> Path:
        """Write a commented `detmon.toml` into `folder`."""
        return configuration.write_template(Path(folder))
