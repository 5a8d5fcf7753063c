"""The logs of real projects as they were found: each is read by the command written here, or refused by name."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Shell

from detmon.store import Store

START = "--start 2026-01-05T08:00:00Z"
MOT = f"--model sort-fasterrcnn --label person {START}"
JUNCTION = (
    "--map image_id=frame --map detections.bbox=x,y,w,h --map detections.confidence=prob --map detections.label=name"
)
JUNCTION_TOLD = (
    "--map image_id=frame --map detections.label=name --map detections.confidence=prob --map detections.bbox=x,y,w,h"
)
DARKNET = (
    "--map image_id=frame_id --map detections=objects --map detections.label=name --map detections.bbox="
    + ",".join(f"relative_coordinates.{side}" for side in ("center_x", "center_y", "width", "height"))
)
SCALABEL = (
    "--map image_id=name --map detections=labels --map detections.label=category --map detections.confidence=score "
    "--map detections.bbox=box2d.x1,box2d.y1,box2d.x2,box2d.y2 --box-format xyxy"
)
CARTUCHO = "--map image_id=@stem --map label=#1 --map confidence=#2 --map bbox=#3,#4,#5,#6 --box-format xyxy"
RRC = "--map image_id=#1 --map bbox=#2,#3,#4,#5 --map confidence=#6 --map label=#7 --box-format xyxy"
POINTRCNN = "--map image_id=#1 --map label=#2 --map bbox=#3,#4,#5,#6 --map confidence=#7 --box-format xyxy"
FIELDS = ("ts", "image_width", "image_height", "source")
BOX = ("label", "confidence", "x", "y", "w", "h")


@dataclass(frozen=True)
class Log:
    """How some originals (`files`, a glob) are read: `command` is what follows `detmon ingest`, after `before` has run.

    What it stores equals the Parquet `log` (its records of one source, where it holds several), but for the fields
    `added` to that by other means. `name` gives the Parquet's id of an image.
    """

    files: str
    command: str
    log: str
    before: str = "true"
    only: str | None = None
    added: tuple[str, ...] = ()
    name: Callable[[str], str] = str


def joined(detector: str, sequence: str, *suffixes: str) -> str:
    """A file a class → one file, with what tells the class in a last column."""
    files = zip(("Car", "Pedestrian"), suffixes, strict=True)
    return " && ".join(
        f"sed 's/\\r*$/{suffix}/' data/kitti/original/{detector}/{label}/{sequence}.txt >> {sequence}.csv"
        for label, suffix in files
    )


def kitti(sequence: str) -> Callable[[str], str]:
    return lambda frame: f"{sequence}/{int(frame):06d}"


def sequences() -> list[Log]:
    """The KITTI logs."""
    found = []
    for sequence, start, last in (("0006", "08:01:14.4", 269), ("0012", "08:04:10.8", 77)):
        said = f"--source kitti-{sequence} --start 2026-01-05T{start}Z --fps 10 --frames 0:{last} --image-size 1242x375"
        about = {"only": f"kitti-{sequence}", "name": kitti(sequence)}
        rrc = f"{sequence}.csv --model kitti-rrc {RRC} {said}"
        files = f"kitti/original/rrc/*/{sequence}.txt"
        found.append(Log(files, rrc, "kitti/rrc_log", joined("rrc", sequence, ",Car", ",Pedestrian"), **about))
        pointrcnn = (
            f"{sequence}.csv --model kitti-pointrcnn {POINTRCNN} --categories names.json --score-scale logit {said}"
        )
        names = """echo '{"1": "Pedestrian", "2": "Car"}' > names.json"""
        before = f"{names} && {joined('pointrcnn', sequence, '', '')}"
        files = f"kitti/original/pointrcnn/*/{sequence}.txt"
        found.append(Log(files, pointrcnn, "kitti/pointrcnn_log", before, **about))
    return found


def photographs(version: str) -> Log:
    """A camera-trap log. Where a photograph was taken is not told by its list in a column with a known name."""
    folder = "data/cameratrap/original"
    command = (
        f"{folder}/predictions_{version}_subset.json --model trap-{version} --images {folder}/images_subset.csv "
        f"--image-id stem --tz UTC --categories {folder}/aicensus.yaml --image-size 2400x1350"
    )
    files = f"cameratrap/original/predictions_{version}_subset.json"
    return Log(files, command, f"cameratrap/model_{version}_log", added=("source",))


def frame(number: str) -> str:
    return f"frame_{int(number):06d}"


LOGS = [
    *(photographs(version) for version in ("v0", "v1")),
    *(
        Log(
            f"mot15/original/{name}/det.txt",
            f"data/mot15/original/{name}/det.txt {MOT} --fps {fps} --frames 1:{last} --source {name} "
            f"--image-size {size}",
            f"mot15/{name}_log",
        )
        for name, fps, last, size in (
            ("TUD-Campus", 25, 71, "640x480"),
            ("TUD-Stadtmitte", 25, 179, "640x480"),
            ("KITTI-17", 10, 145, "1224x370"),
        )
    ),
    Log(
        "opendatacam/original/rawdetections_frames_0-799.txt",
        f"data/opendatacam/original/rawdetections_frames_0-799.txt --model opendatacam-yolo {JUNCTION} "
        f"--score-scale percent --source odc-junction {START} --fps 30",
        "opendatacam/junction_log",
        name=frame,
    ),
    Log(
        "opendatacam/original/alexeydetections30FPS_first200.json",
        f"data/opendatacam/original/alexeydetections30FPS_first200.json --model darknet-yolo {DARKNET} "
        f"--box-format cxcywh-norm --image-size 1920x1080 --source odc-highway "
        "--start 2026-01-05T08:00:00.533333Z --fps 30",
        "opendatacam/highway_log",
        added=("image_width", "image_height"),
        name=frame,
    ),
    Log(
        "bdd100k/original/bbox_predictions.json",
        f"data/bdd100k/original/bbox_predictions.json --model bdd-detector {SCALABEL} "
        f"--source b1c66a42-6f7d68ca --image-size 1280x720 {START} --fps 5",
        "bdd100k/log",
    ),
    *sequences(),
    Log(
        "voc/original/coco_dets.json",
        f"data/voc/original/coco_dets.json --model voc-yolo --source voc {START} --fps 1",
        "voc/log",
    ),
]


@dataclass(frozen=True)
class Records:
    """What a store holds: fields and boxes (one a row: label, confidence, x, y, w, h) by image."""

    fields: dict[str, tuple[Any, ...]]
    boxes: dict[str, list[tuple[Any, ...]]]


def stored(db: Path, log: Log | None = None, only: str | None = None) -> Records:
    """The records of a store; their images named by `log`."""
    with Store(db).reading() as con:
        rows = con.execute(
            f"SELECT image_id, detections, {', '.join(FIELDS)} FROM predictions "
            "WHERE coalesce(source = $only, true) ORDER BY ts, image_id",
            {"only": only},
        ).fetchall()
    ids = [log.name(row[0]) if log else row[0] for row in rows]
    assert len(set(ids)) == len(ids)
    boxes = [sorted((tuple(box[name] for name in BOX) for box in row[1]), key=str) for row in rows]
    return Records({key: row[2:] for key, row in zip(ids, rows, strict=True)}, dict(zip(ids, boxes, strict=True)))


def place(detmon: Shell, data: Path) -> None:
    """Puts the folder of the real logs where the commands look for it."""
    (detmon.folder / "data").symlink_to(data)


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.files.replace("/original", ""))
def test_an_original_equals_its_parquet(detmon: Shell, data: Path, log: Log) -> None:
    place(detmon, data)
    subprocess.run(["bash", "-euc", log.before], cwd=detmon.folder, check=True, timeout=60)
    done = detmon("ingest", *shlex.split(log.command), "--json").json
    assert done["rejected"] == 0
    scale = ["--score-scale", "logit"] if "logit" in log.command else []
    detmon("--db", "other.duckdb", "ingest", f"data/{log.log}.parquet", *scale)
    found, wanted = stored(detmon.folder / "detmon.duckdb", log), stored(detmon.folder / "other.duckdb", only=log.only)
    kept = [k for k, name in enumerate(FIELDS) if name not in log.added]
    assert found.boxes.keys() == wanted.boxes.keys()
    for image, fields in wanted.fields.items():
        mine = found.fields[image]
        assert abs((mine[0] - fields[0]).total_seconds()) < 2e-6
        assert [mine[k] for k in kept[1:]] == [fields[k] for k in kept[1:]]
        one, two = found.boxes[image], wanted.boxes[image]
        assert [box[:2] for box in one] == [box[:2] for box in two]
        sides = (np.array([box[2:] for box in some], float) for some in (one, two))
        np.testing.assert_allclose(*sides, rtol=2e-6, atol=1e-4)


@dataclass(frozen=True)
class Told:
    """What `detmon ingest FILE`, without any option, says of some originals."""

    files: str
    error: str
    hint: str
    code: int = 2


LACKING = "--model NAME; --start TIME --fps F, or --map timestamp=COLUMN"
UNSCORED = "annotations, or a log without scores"
TOLD = [
    Told("cameratrap/original/pred*.json", "753 of 753 records unusable: no `model_id`, no `timestamp`", LACKING),
    Told("cameratrap/original/images_subset.csv", "its columns are path, class, rev,", "--images data/"),
    Told("cameratrap/original/aicensus.yaml", "of no known format, it begins with: # Train", "docs/formats", 4),
    Told("mot15/original/*/*.txt", "no `model_id`, no `timestamp`, no `label`", f"{LACKING}; --label NAME"),
    Told("opendatacam/original/raw*.txt", "home-made objects with lists of boxes",
         f"{JUNCTION_TOLD} --box-format xywh"),
    Told("opendatacam/original/alexey*.json", "home-made objects with lists of boxes",
         f"{DARKNET} --box-format cxcywh-norm --image-size WxH"),
    Told("bdd100k/original/bbox_predictions.json", "home-made objects with lists of boxes", SCALABEL),
    Told("bdd100k/original/track_sample_anns.json", UNSCORED, SCALABEL.replace("=score", "=PATH")),
    Told("kitti/original/rrc/*/*.txt", "the first line is no header, it has 6 numbers", "--map FIELD=#N"),
    Told("kitti/original/pointrcnn/*/*.txt", "the first line is no header, it has 15 numbers", "--map FIELD=#N"),
    Told("kitti/original/label_02/*.txt", UNSCORED, "scores are word 18", 4),
    Told("voc/original/coco_dets.json", "98 of 98 records unusable: no `model_id`, no `timestamp`", LACKING),
    Told("voc/original/instances_default.json", "has no scores: it is ground truth", "`detmon feedback match data/", 4),
    Told("voc/original/cartucho/detection-results/*.txt", "is a file an image?", CARTUCHO),
    Told("voc/original/cartucho/ground-truth/*.txt", UNSCORED, "scores are word 2", 4),
    Told("raspberry-pi/original/*.csv", "holds counts, not detections", "", 4),
]  # fmt: skip


@pytest.mark.parametrize("told", TOLD, ids=lambda told: told.files.replace("/original", ""))
def test_without_options_an_original_is_refused_by_name(detmon: Shell, data: Path, told: Told) -> None:
    place(detmon, data)
    for path in data.glob(told.files):
        said = detmon("ingest", f"data/{path.relative_to(data)}", code=told.code).err
        assert told.error in said
        assert told.hint in said


def test_every_original_is_claimed(data: Path) -> None:
    originals = {path for path in data.glob("*/original/**/*") if path.is_file()}
    assert {path for told in TOLD for path in data.glob(told.files)} == originals
    read = {path for log in LOGS for path in data.glob(log.files)}
    others = ("gt.txt", ".yaml", ".csv", "anns.json", "default.json")
    rest = {path for path in originals - read if not path.name.endswith(others)}
    assert {path.parent.name for path in rest} == {"label_02", "detection-results", "ground-truth"}


def test_files_of_one_image_each(detmon: Shell, data: Path) -> None:
    place(detmon, data)
    folder = Path("data/voc/original/cartucho/detection-results")
    detmon("ingest", folder, "--model", "voc", *shlex.split(START), *shlex.split(CARTUCHO))
    boxes = {}
    for path in folder.glob("*.txt"):
        rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
        corners = [(row[0], float(np.float32(row[1])), *map(float, row[2:])) for row in rows]
        boxes[path.stem] = sorted(((*one[:4], one[4] - one[2], one[5] - one[3]) for one in corners), key=str)
    assert stored(detmon.folder / "detmon.duckdb").boxes == boxes


def test_ground_truth_of_mot_as_a_log_is_warned_of(detmon: Shell, data: Path) -> None:
    place(detmon, data)
    said = detmon("ingest", "data/mot15/original/TUD-Campus/gt.txt", *shlex.split(f"{MOT} --fps 25"))
    assert "confidence_constant" in said.err


def test_two_files_of_the_same_frames_are_not_one_log(detmon: Shell, data: Path) -> None:
    place(detmon, data)
    by_class = RRC.replace("--map label=#7 ", "")
    for label in ("Car", "Pedestrian"):
        file = f"data/kitti/original/rrc/{label}/0006.txt"
        done = detmon("ingest", file, "--model", "rrc", "--label", label, *shlex.split(f"{by_class} {START} --fps 10"))
    assert "rejected" in done.out
    assert {row["code"] for row in detmon("quarantine", "list", "--json").json} == {"id_conflict"}
