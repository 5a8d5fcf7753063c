"""Chromium, driven over its debugging pipe: pages are loaded, keys pressed, the mouse moved, files downloaded."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)  # fmt: skip
CODES = {"Enter": 13, "Escape": 27, "Delete": 46, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
SHIFT = 8


class Page:
    """One tab."""

    def __init__(self, read: int, write: int) -> None:
        self._read = read
        self._write = write
        self._kept = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to a command; what happens meanwhile goes to `events`."""
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        message = {"id": self._number, "method": method, "params": params, **session}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        found: dict[str, Any] = answer["result"]
        return found

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._kept:
            more = os.read(self._read, 1 << 20)
            assert more, "the browser has ended"
            self._kept += more
        message, _, self._kept = self._kept.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def open(self, url: str) -> None:
        """Load a page to its end."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        self.wait("Page.loadEventFired")

    def wait(self, method: str) -> dict[str, Any]:
        """The next event of this kind."""
        while True:
            for event in self.events:
                if event.get("method") == method:
                    return event
            self.events.append(self._next())

    def run(self, script: str) -> Any:
        """The value of an expression."""
        done = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def text(self, selector: str) -> str:
        """What an element shows."""
        found: str = self.run(f"document.querySelector({json.dumps(selector)}).textContent")
        return found

    def key(self, *names: str, modifiers: int = 0) -> None:
        """Press keys, one after the other."""
        for name in names:
            text = {"text": "\r"} if name == "Enter" else {"text": name} if len(name) == 1 and not modifiers else {}
            about = {
                "key": name,
                "modifiers": modifiers,
                "windowsVirtualKeyCode": CODES.get(name, ord(name[0].upper())),
            }
            self.call("Input.dispatchKeyEvent", type="keyDown", **about, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def type(self, text: str) -> None:
        """Type into the element that has the focus."""
        self.call("Input.insertText", text=text)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press at one point of the image, in its pixels, and let go at another; a click where both are one."""
        points = [self._on_screen(*start), self._on_screen(*end)]
        middle = {key: (points[0][key] + points[1][key]) / 2 for key in ("x", "y")}
        held = {"button": "left", "buttons": 1, "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mousePressed", **points[0], **held)
        for point in (middle, points[1]) if start != end else ():
            self.call("Input.dispatchMouseEvent", type="mouseMoved", **point, **held)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", **points[1], **held)

    def _on_screen(self, x: float, y: float) -> dict[str, float]:
        matrix = "document.getElementById('stage').getScreenCTM()"
        script = (
            f"(() => {{ const p = new DOMPoint({x}, {y}).matrixTransform({matrix}); return {{x: p.x, y: p.y}}; }})()"
        )
        found: dict[str, float] = self.run(script)
        return found

    def screenshot(self, file: Path, *, width: int = 1240, height: int = 800, dark: bool = False) -> None:
        """A picture of the page."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def complaints(self) -> list[str]:
        """What the page's script, or its policy, complained about."""
        found = []
        for event in self.events:
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(event["params"]["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                found.append(event["params"]["entry"]["text"])
        return found

    def downloaded(self, folder: Path, name: str) -> str:
        """The text of a file that the page hands out; call it after the click."""
        file = folder / name
        give_up = time.monotonic() + 20
        while not file.exists():
            assert time.monotonic() < give_up, list(folder.iterdir())
            self.run("new Promise((done) => setTimeout(done, 50))")
        return file.read_text("utf-8")

    def downloads_to(self, folder: Path) -> None:
        """Where downloads go."""
        self.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A tab of a headless browser; skips where none is installed."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    command_in, write = os.pipe()
    read, command_out = os.pipe()

    def connect() -> None:  # the browser reads commands from 3 and writes answers to 4
        first, second = os.dup(command_in), os.dup(command_out)
        os.dup2(first, 3)
        os.dup2(second, 4)

    process = subprocess.Popen(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--window-size=1240,800"],
        preexec_fn=connect,
        close_fds=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(command_in)
    os.close(command_out)
    try:
        yield Page(read, write)
    finally:
        os.close(write)
        os.close(read)
        process.kill()
        process.wait()
