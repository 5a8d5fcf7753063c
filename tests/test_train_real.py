"""A version trained by the real Ultralytics: `DETMON_TEST_YOLO_PYTHON` names a python that has it."""

from __future__ import annotations

import os
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from conftest import Shell

SCRIPT = Path(__file__).parent / "yolo_trainer.py"
SIDE = 64


def picture(place: Path, left: int, top: int) -> None:
    """A white square of 24 pixels on black, as PNG."""
    inside = (range(left, left + 24), range(top, top + 24))
    rows = (bytes(255 * (x in inside[0] and y in inside[1]) for x in range(SIDE)) for y in range(SIDE))
    blocks = (
        (b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))),
        (b"IEND", b""),
    )
    with place.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for name, content in blocks:
            file.write(struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content)))


@pytest.mark.slow
def test_one_epoch(detmon: Shell) -> None:
    python = os.environ.get("DETMON_TEST_YOLO_PYTHON")
    if not python:
        pytest.skip("DETMON_TEST_YOLO_PYTHON names no python with ultralytics")
    given = detmon.folder / "given"
    for split, count in (("train", 8), ("val", 2)):
        for kind in ("images", "labels"):
            (given / kind / split).mkdir(parents=True)
        for number in range(count):
            left, top = 4 * number, 30 - 3 * number
            picture(given / "images" / split / f"{number}.png", left, top)
            line = f"0 {(left + 12) / SIDE} {(top + 12) / SIDE} {24 / SIDE} {24 / SIDE}\n"
            (given / "labels" / split / f"{number}.txt").write_text(line)
    (given / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/val\nnames: {0: square}\n")
    (detmon.folder / "detmon.toml").write_text(
        f'[training]\ncommand = ["{python}", "{SCRIPT}", "{{dataset}}/data.yaml", "{{output}}"]\n'
    )
    for name, value in {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_CONFIG_DIR": "yolo"}.items():
        detmon.monkeypatch.setenv(name, str(detmon.folder / value) if value == "yolo" else value)
    (detmon.folder / "yolo").mkdir()
    detmon("model", "register", "squares", "--version", "1")
    detmon("dataset", "create", "given")
    detmon("version", "create", "given", "--name", "v1", "--from", "given")
    asked = ("--dataset", "given", "--version", "v1", "--base-model", "squares@1", "--wait", "--json")
    job = detmon("train", "create", "nightly", *asked, code=None)
    assert job.code == 0, job.err + detmon("train", "logs", "nightly", "--tail", "30").out
    model = detmon("model", "show", job.json["model_id"], "--json").json
    assert (model["name"], model["parent"], model["job_id"]) == ("squares", "squares@1", job.json["id"])
    weights = Path(model["uri"])
    assert weights.name == "best.pt"
    loaded = subprocess.run(
        [python, "-c", f"from ultralytics import YOLO; print(YOLO({str(weights)!r}).names)"],
        capture_output=True,
        text=True,
    )
    assert "{0: 'square'}" in loaded.stdout, loaded.stderr
    assert "epochs completed" in Path(job.json["log"]).read_text()
