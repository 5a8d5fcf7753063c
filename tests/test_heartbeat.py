"""The dead man's switch: what a watchdog is asked in each case, and what the store says of the last check."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest
from conftest import Shell
from stored import BASE, Row, store, text

from detmon.store import Store


class Watchdog:
    """A server that notes what it is asked; `answer` is its status, `hangs` keeps it from answering at all."""

    def __init__(self) -> None:
        watchdog = self
        self.asked: list[str] = []
        self.answer = 200
        self.hangs = False
        self.closing = Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                watchdog.asked.append(self.path)
                if watchdog.hangs:
                    watchdog.closing.wait(60)
                    return
                self.send_response(watchdog.answer)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/ping/uuid"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def heard(self) -> list[str]:
        """What was asked since the last time, without the path that is always the same."""
        heard = [path.removeprefix("/ping/uuid") for path in self.asked]
        self.asked.clear()
        return heard


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    server = Watchdog()
    yield server
    server.close()


@pytest.fixture
def fleet(detmon: Shell) -> Shell:
    store(detmon.folder, [Row(BASE + timedelta(minutes=m), latency=80, boxes=[("car", 0.5)]) for m in range(-60, 60)])
    condition = ["--metric", "avg_latency_ms", "--operator", "gt", "--threshold", "50", "--window", "1h"]
    detmon("alert", "create", "slow", "--model", "m", *condition)
    return detmon


def test_each_way_a_check_can_end(fleet: Shell, watchdog: Watchdog) -> None:
    def check(*args: object, code: int, at: float = 0) -> list[str]:
        fleet("--now", text(at), "alert", "check", *args, "--heartbeat", watchdog.url, code=code)
        return watchdog.heard()

    assert check("--dry-run", code=0) == []  # nothing was checked
    assert check("--exit-code", code=1) == ["/start", ""]  # a finding is no failure of the check
    assert check(code=0, at=300) == ["/start", ""]
    assert check("--no-send", code=0, at=600) == ["/start", ""]
    assert check("nobody", code=2, at=900) == ["/start", "/fail"]
    fleet.monkeypatch.setenv("DETMON_FAILPOINT", "alert.evaluate=slow")
    assert check(code=4, at=900) == ["/start", "/fail"]


def test_a_locked_store_is_a_failure(fleet: Shell, watchdog: Watchdog) -> None:
    with Store(fleet.folder / "detmon.duckdb").writing():
        done = fleet.process("--lock-timeout", "0.2", "alert", "check", env={"DETMON_HEARTBEAT_URL": watchdog.url})
    assert done.returncode == 4
    assert b"in use by process" in done.stderr
    assert watchdog.heard() == ["/start", "/fail"]


def test_an_address_with_a_query(fleet: Shell, watchdog: Watchdog) -> None:
    fleet("--now", text(0), "alert", "check", "--heartbeat", f"{watchdog.url}/?rid=7")
    assert watchdog.heard() == ["/start?rid=7", "?rid=7"]


def test_a_watchdog_that_refuses_or_hangs_is_only_a_warning(fleet: Shell, watchdog: Watchdog) -> None:
    watchdog.answer = 404
    done = fleet("--now", text(0), "alert", "check", "--heartbeat", watchdog.url)
    assert "the heartbeat failed" in done.err
    fleet.monkeypatch.setattr("detmon.alerts.heartbeat.TIMEOUT", 0.05)
    watchdog.hangs = True
    done = fleet("--now", text(300), "alert", "check", "--heartbeat", watchdog.url)
    assert done.err.count("the heartbeat failed") == 2
    assert "must begin with http" in fleet("--now", text(600), "alert", "check", "--heartbeat", "ftp://x").err


def test_the_store_knows_when_it_was_last_checked(fleet: Shell) -> None:
    def status(at: float, code: int) -> str | None:
        asked = ["status", "--max-age", "15m", "--exit-code", "--json"]
        return str(fleet("--now", text(at), *asked, code=code).json["last_check"])

    assert status(0, code=3) == "never"
    fleet("--now", text(0), "alert", "check")
    assert status(900, code=0) == "fresh"
    assert status(901, code=1) == "stale"
