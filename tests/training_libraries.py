"""`python training_libraries.py DATA.yaml FOLDER`: trains one epoch with the real Ultralytics on an exported version.

Runs in an environment that has the library; weights are random, nothing is fetched. `FOLDER/seen.json` then has the
labels that the library read: `{split: {file: [[class, cx, cy, w, h], …]}}`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

DATA, FOLDER = (Path(argument).absolute() for argument in sys.argv[1:])
os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_CONFIG_DIR": str(FOLDER / "config")}
(FOLDER / "config").mkdir(parents=True, exist_ok=True)

from ultralytics import YOLO  # noqa: E402
from ultralytics.data import YOLODataset  # noqa: E402
from ultralytics.data.utils import check_det_dataset  # noqa: E402

data = check_det_dataset(str(DATA))
seen: dict[str, dict[str, list[list[float]]]] = {}
for split in ("train", "val"):
    found = YOLODataset(img_path=data[split], data=data, task="detect", imgsz=64, augment=False)
    seen[split] = {
        Path(one["im_file"]).name: [
            [*kind, *box] for kind, box in zip(one["cls"].tolist(), one["bboxes"].tolist(), strict=True)
        ]
        for one in found.labels
    }
settings = {"imgsz": 64, "batch": 4, "device": "cpu", "workers": 0, "plots": False, "pretrained": False, "amp": False}
YOLO("yolo11n.yaml").train(data=str(DATA), epochs=1, project=str(FOLDER), name="run", exist_ok=True, **settings)
(FOLDER / "seen.json").write_text(json.dumps({"names": data["names"], "seen": seen}))
