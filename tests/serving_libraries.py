"""`python serving_libraries.py FOLDER`: real results of Ultralytics, supervision and torchvision, logged in every way.

Runs in an environment that has these libraries; weights are random, nothing is fetched. In FOLDER then are logs,
and in `expected.json` the boxes of each image as the libraries themselves say them:
`{log: {image: [[label, confidence, x1, y1, x2, y2, track], …]}}`.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1]).absolute()
os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_CONFIG_DIR": str(FOLDER / "config")}
(FOLDER / "config").mkdir(parents=True, exist_ok=True)
sys.path.insert(0, str(Path(__file__).parent.parent))
warnings.simplefilter("ignore")

import numpy as np  # noqa: E402
import supervision as sv  # noqa: E402
import torch  # noqa: E402
import torchvision  # noqa: E402
from PIL import Image  # noqa: E402
from ultralytics import YOLO  # noqa: E402
from ultralytics.utils import SETTINGS  # noqa: E402

from detmon.log import Logger  # noqa: E402

START = datetime(2026, 11, 20, 8, tzinfo=UTC)
NAMES = {0: "person", 1: "car", 2: "traffic light"}
Boxes = list[list[Any]]
expected: dict[str, dict[str, Boxes]] = {}


def model(kind: str) -> Any:
    """A detector of random weights that finds boxes of three classes, large ones with more confidence."""
    torch.manual_seed(len(kind))
    found = YOLO(kind, verbose=False)
    found.model.names = dict(enumerate(f"class {number}" for number in range(80))) | NAMES
    for number, scores in enumerate(found.model.model[-1].cv3):
        torch.nn.init.constant_(scores[-1].bias, -20.0)
        scores[-1].bias.data[number] = 1.2 * number - 1.0
    return found


def pictures() -> list[Path]:
    """Four images of two sizes."""
    folder = FOLDER / "data" / "images"
    folder.mkdir(parents=True)
    chance = np.random.default_rng(0)
    for number, (height, width) in enumerate([(240, 320), (320, 240), (240, 320), (240, 320)]):
        pixels = np.kron(chance.integers(0, 255, (height // 20, width // 20, 3)), np.ones((20, 20, 1)))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"00{number}.png")
    return sorted(folder.iterdir())


def boxes_of(result: Any) -> Boxes:
    """The boxes of an Ultralytics result, one at a time, what of them is in the image."""
    height, width = result.orig_shape
    found = result.boxes if result.obb is None else result.obb
    return [
        [
            result.names[int(one.cls)],
            float(one.conf),
            *np.clip(one.xyxy[0].numpy(), 0, [width, height] * 2).tolist(),
            None if one.id is None else int(one.id),
        ]
        for one in found
    ]


def ultralytics(images: list[Path]) -> None:
    """Detection, rotated boxes, masks, keypoints, tracks; an image without boxes in each."""
    for task in ("", "-obb", "-seg", "-pose"):
        log = f"ultralytics{task}"
        detector = model(f"yolo11n{task}.yaml")
        with Logger(FOLDER / f"{log}.jsonl", f"yolo{task}@1", confidence_floor=0.1, on_error="raise") as logger:
            for number, image in enumerate(images):
                floor = 0.1 if number else 0.999999
                results = detector(image, imgsz=320, conf=floor, iou=0.1, verbose=False)
                keep(log, image.name, boxes_of(results[0]))
                logger.write(results, image_id=image.name, source="cam1", timestamp=START + timedelta(seconds=number))
                if not task:
                    recorded(results[0], image.name)
                if task in ("", "-obb"):
                    wrapped(results[0], number, f"wrapped{task}")
    tracker = model("yolo11n.yaml")
    with Logger(FOLDER / "tracks.jsonl", "tracks@1", on_error="raise") as logger:
        for number in range(4):
            (result,) = tracker.track(images[1], imgsz=320, conf=0.3, iou=0.1, persist=True, verbose=False)
            keep("tracks", f"{number}", boxes_of(result))
            logger.write(result, image_id=f"{number}", timestamp=START + timedelta(seconds=number))


def wrapped(result: Any, number: int, log: str) -> None:
    """A line as docs/formats.md has it."""
    row = {
        "timestamp": (START + timedelta(seconds=number)).isoformat(),
        "path": Path(result.path).name,
        "orig_shape": result.orig_shape,
        "speed": result.speed,
        "results": json.loads(result.to_json()),
    }
    keep(log, Path(result.path).name, boxes_of(result))
    with (FOLDER / f"{log}.jsonl").open("a") as file:
        print(json.dumps(row), file=file)


def folders(images: list[Path]) -> None:
    """What `predict save_txt` and `val save_json` leave behind."""
    said = {"imgsz": 320, "conf": 0.2, "iou": 0.1, "verbose": False, "exist_ok": True, "project": str(FOLDER)}
    results = model("yolo11n.yaml").predict(
        str(images[0].parent), save_txt=True, save_conf=True, name="predict", **said
    )
    for result in results:
        keep("predict", Path(result.path).stem, boxes_of(result))
    frames = model("yolo11n.yaml").track(str(images[0].parent), save_txt=True, save_conf=True, name="tracked", **said)
    for result in frames:
        keep("tracked", Path(result.path).stem, boxes_of(result))
    (FOLDER / "data" / "labels").mkdir()
    for image in images:
        (FOLDER / "data" / "labels" / f"{image.stem}.txt").write_text("1 0.5 0.5 0.25 0.25\n")
    names = "\n".join(f"  {number}: {name}" for number, name in model("yolo11n.yaml").names.items())
    data = FOLDER / "data.yaml"
    data.write_text(f"path: {FOLDER / 'data'}\ntrain: images\nval: images\nnames:\n{names}\n")
    detector = model("yolo11n.yaml")
    detector.val(data=str(data), save_json=True, plots=False, workers=0, batch=1, device="cpu", name="val", **said)
    for box in json.loads((FOLDER / "val" / "predictions.json").read_text()):
        x, y, w, h = box["bbox"]
        label = detector.names[box["category_id"] - 1]
        keep("val", box["file_name"], [[label, box["score"], x, y, x + w, y + h, None]])


def supervision(images: list[Path]) -> None:
    """Detections made of Ultralytics' results; its two sinks."""
    detector = model("yolo11n.yaml")
    sinks = sv.CSVSink(str(FOLDER / "sink.csv")), sv.JSONSink(str(FOLDER / "sink.json"))
    with Logger(FOLDER / "supervision.jsonl", "sv@1", on_error="raise") as logger, sinks[0] as csv, sinks[1] as jsons:
        for number, image in enumerate(images):
            result = detector(image, imgsz=320, conf=0.1, iou=0.1, verbose=False)[0]
            found = sv.Detections.from_ultralytics(result) if number else sv.Detections.empty()
            boxes = boxes_of(result) if number else []
            for log in ("supervision", "sink-csv", "sink-json"):
                keep(log, image.name, boxes)
            logger.write(found, image_id=image.name, timestamp=START + timedelta(seconds=number), image_size=(320, 240))
            for sink in (csv, jsons):
                sink.append(found, {"image_id": image.name, "timestamp": START.isoformat()})


def torchvisions() -> None:
    """Three of its detectors; one finds nothing."""
    make = torchvision.models.detection
    torch.manual_seed(0)
    plain: dict[str, Any] = {"weights": None, "weights_backbone": None, "num_classes": 4}
    detectors = [
        make.fasterrcnn_mobilenet_v3_large_320_fpn(**plain, box_score_thresh=0.0, box_detections_per_img=7),
        make.ssdlite320_mobilenet_v3_large(**plain, score_thresh=0.01, detections_per_img=5),
        make.fasterrcnn_mobilenet_v3_large_320_fpn(**plain, box_score_thresh=0.99),
    ]
    names = ["__background__", *NAMES.values()]
    with Logger(FOLDER / "torchvision.jsonl", "tv@1", names=names, on_error="raise") as logger, torch.no_grad():
        for number, detector in enumerate(detectors):
            found = detector.eval()([torch.rand(3, 240, 320)])
            numbers = zip(found[0]["labels"], found[0]["scores"], found[0]["boxes"], strict=True)
            keep(
                "torchvision", f"{number}", [[names[int(n)], float(s), *map(float, box), None] for n, s, box in numbers]
            )
            logger.write(found, image_id=f"{number}", timestamp=START, image_size=(320, 240))


def keep(log: str, image: str, boxes: Boxes) -> None:
    expected.setdefault(log, {}).setdefault(image, []).extend(boxes)


def recorded(result: Any, name: str) -> None:
    """The attributes that the logger reads, for tests without the libraries."""
    boxes = result.boxes
    columns = {key: getattr(boxes, key).tolist() for key in ("xyxy", "conf", "cls")}
    line = {"image": name, "orig_shape": result.orig_shape, "speed": result.speed, "names": NAMES, **columns}
    with (FOLDER / "recorded.jsonl").open("a") as file:
        print(json.dumps(line), file=file)


SETTINGS.update({"sync": False, "runs_dir": str(FOLDER / "runs")})
seen = pictures()
ultralytics(seen)
folders(seen)
supervision(seen)
torchvisions()
(FOLDER / "expected.json").write_text(json.dumps(expected))
