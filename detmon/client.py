"""`Client`: a method a verb. The command line and Python users come through the same door."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TextIO

from detmon import config as configuration
from detmon import models, notify, times
from detmon.records import Delivery, Model, NoticeDetails, PluginInfo, QueuedNotice, Settings, TargetTest
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

    # --- notices ---

    def use_env_file(self, path: str | Path | None) -> None:
        """Put the `KEY=VALUE` lines of a file that only its owner may read into the environment."""
        from detmon.notify.secrets import read_env_file

        if path is not None:
            os.environ.update(read_env_file(Path(path)))

    def test_target(
        self, target: str, kind: str = "firing", *, dry_run: bool = False, console: TextIO | None = None
    ) -> TargetTest:
        """Send a message headed TEST to a target; a dry run shows it instead."""
        from detmon.notify import manage

        return manage.try_out(self.config, target, kind, self.now(), console or sys.stdout, dry_run=dry_run)

    def send_notices(self, console: TextIO | None = None) -> Delivery:
        """Send the notices that are due; `stdout:` targets write to `console`."""
        return notify.deliver(self.store, self.config, now=self.now(), console=console or sys.stdout)

    def list_notices(self, status: str | None = None, limit: int = 100) -> list[QueuedNotice]:
        """The newest notices, with one status or with any."""
        from detmon.notify import manage

        with self.store.reading() as con:
            return manage.listed(con, status, limit)

    def show_notice(self, notice_id: str) -> NoticeDetails:
        """One notice, and its message as it would read now."""
        from detmon.notify import manage

        with self.store.reading() as con:
            return manage.show(con, self.config, notice_id, self.now())

    def retry_notices(self, notice_ids: Sequence[str] = (), *, dead: bool = False) -> list[QueuedNotice]:
        """Make dead or waiting notices due at once."""
        from detmon.notify import manage

        with self.store.writing() as con, transaction(con):
            return manage.retry(con, notice_ids, dead, self.now())

    def drop_notices(self, notice_ids: Sequence[str] = (), *, dead: bool = False) -> list[QueuedNotice]:
        """Give dead or waiting notices up."""
        from detmon.notify import manage

        with self.store.writing() as con, transaction(con):
            return manage.drop(con, notice_ids, dead, self.now())

    def list_plugins(self) -> list[PluginInfo]:
        """The installed plugins, also those that did not load; what is wrong with any of them is noted."""
        from detmon.notify import manage

        found, problems = manage.installed(self.config)
        for problem in problems:
            self._note(problem)
        return found
