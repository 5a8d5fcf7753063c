"""Writers of every format that detmon reads: a log in, the file and the options to read it with out."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from detmon.formats import Source


@dataclass(frozen=True)
class Box:
    """One detection; sides in pixels from the top-left corner."""

    label: str
    confidence: float | None
    x: float
    y: float
    w: float
    h: float
    detection_id: str | None = None
    track_id: str | None = None

    @property
    def corners(self) -> list[float]:
        return [self.x, self.y, self.x + self.w, self.y + self.h]

    @property
    def centred(self) -> list[float]:
        return [self.x + self.w / 2, self.y + self.h / 2, self.w, self.h]


@dataclass(frozen=True)
class Record:
    """One prediction; `ts` is naive UTC."""

    model_id: str
    ts: datetime
    image_id: str
    boxes: tuple[Box, ...] = ()
    source: str | None = None
    image_uri: str | None = None
    image_width: int | None = None
    image_height: int | None = None
    latency_ms: float | None = None
    status: str = "ok"
    confidence_floor: float | None = None
    tags: Mapping[str, str] | None = None
    prediction_id: str | None = None

    @property
    def time(self) -> str:
        return self.ts.isoformat() + "Z"


Log = Sequence[Record]
Options = dict[str, Any]
SIZE = (4000, 3000)
START = datetime(2026, 1, 5, 8)
OPTIONAL = ("source", "image_uri", "image_width", "image_height", "latency_ms", "status", "confidence_floor", "tags",
            "prediction_id")  # fmt: skip
LISTED = ("source", "image_uri", "image_width", "image_height")
"""What a list of images says of them."""


@dataclass(frozen=True)
class Writer:
    """A format, or a way of writing it; `readers` are those that read it (their places in detmon.readers).

    What it can carry: the optional `fields` of records and `ids` of boxes, images without boxes (`empties`), boxes
    without score (`unscored`), several models (else one, said by `--model`), the same image twice (`repeats`).
    `made` puts a log into what else the format asks for; `near`: pixels by which its numbers may differ.
    """

    name: str
    readers: tuple[str, ...]
    write: Callable[[Log, Path], tuple[Path, Options]]
    fields: tuple[str, ...] = OPTIONAL
    ids: tuple[str, ...] = ("detection_id", "track_id")
    empties: bool = True
    unscored: bool = True
    models: bool = True
    repeats: bool = True
    made: Callable[[list[Record]], list[Record]] = list
    near: float = 0.0

    def fitted(self, log: Log) -> list[Record]:
        """The part of a log that the format can carry."""
        found = [self._fitted(record, log[0].model_id) for record in log]
        found = self.made([record for record in found if record.boxes or self.empties])
        unique: dict[Any, Record] = {}
        for record in found:
            key = (record.model_id, record.source, record.image_id, record.ts) if self.repeats else record.image_id
            unique.setdefault(key, record)
        return list(unique.values())

    def _fitted(self, record: Record, model: str) -> Record:
        usual = Record("", START, "")
        lost = {name: getattr(usual, name) for name in OPTIONAL if name not in self.fields}
        ids: Any = {name: None for name in ("detection_id", "track_id") if name not in self.ids}
        boxes = tuple(replace(box, **ids) for box in record.boxes if self.unscored or box.confidence is not None)
        return replace(record, **lost, boxes=boxes, model_id=record.model_id if self.models else model)


def source(path: Path) -> Source:
    """A file, or a folder of files that are one log."""
    files = tuple(sorted(path.iterdir())) if path.is_dir() else ()
    return Source(path.name, path, files=files)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _lines(path: Path, records: Iterable[Any]) -> Path:
    path.write_bytes(b"".join(_json(record).encode() + b"\n" for record in records))
    return path


def _array(path: Path, records: Iterable[Any]) -> Path:
    path.write_text(_json(list(records)), "utf-8")
    return path


def _filled(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if value is not None}


def _said(record: Record, *without: str) -> dict[str, Any]:
    """The fields of a record but for its boxes, under their own names."""
    fields = {name: getattr(record, name) for name in ("model_id", "image_id", *OPTIONAL) if name not in without}
    return _filled({"timestamp": record.time, **fields})


def _ids(box: Box) -> dict[str, Any]:
    return _filled({"detection_id": box.detection_id, "track_id": box.track_id})


def _canonical(record: Record, bbox: Callable[[Box], Any]) -> dict[str, Any]:
    boxes = [{"label": box.label, "confidence": box.confidence, "bbox": bbox(box), **_ids(box)} for box in record.boxes]
    return {**_said(record), "detections": boxes}


def canonical_lines(log: Log, folder: Path) -> tuple[Path, Options]:
    return _lines(folder / "log.jsonl", (_canonical(one, lambda box: [box.x, box.y, box.w, box.h]) for one in log)), {}


def canonical_objects(log: Log, folder: Path) -> tuple[Path, Options]:
    def bbox(box: Box) -> Any:
        return {"x": box.x, "y": box.y, "width": box.w, "height": box.h}

    return _array(folder / "log.json", (_canonical(one, bbox) for one in log)), {}


def canonical_parquet(log: Log, folder: Path) -> tuple[Path, Options]:
    side = pa.float32()
    box = pa.struct([("label", pa.string()), ("confidence", side), ("bbox", pa.struct([(k, side) for k in "xywh"])),
                     ("detection_id", pa.string()), ("track_id", pa.string())])  # fmt: skip
    text, number = pa.string(), pa.int32()
    kinds = {"source": text, "image_uri": text, "image_width": number, "image_height": number, "latency_ms": side,
             "status": text, "confidence_floor": side, "tags": pa.map_(text, text), "prediction_id": text}  # fmt: skip
    columns = {name: pa.array([getattr(one, name) and _pairs(getattr(one, name)) for one in log], kind)
               for name, kind in kinds.items()}  # fmt: skip
    table = pa.table(
        {
            "model_id": [one.model_id for one in log],
            "image_id": [one.image_id for one in log],
            "timestamp": pa.array([one.ts.replace(tzinfo=UTC) for one in log], pa.timestamp("us", "UTC")),
            "detections": pa.array([[_canonical(one, _side_names)["detections"][k] for k in range(len(one.boxes))]
                                    for one in log], pa.list_(box)),
            **columns,
        }
    )  # fmt: skip
    pq.write_table(table, folder / "log.parquet", compression="zstd")
    return folder / "log.parquet", {}


def _pairs(value: Any) -> Any:
    return list(value.items()) if isinstance(value, Mapping) else value


def _side_names(box: Box) -> dict[str, float]:
    return {"x": box.x, "y": box.y, "w": box.w, "h": box.h}


MAP = {
    "model_id": "by.model", "image_id": "file", "source": "cam.0", "latency_ms": "ms.a+ms.b", "detections": "found.all",
    "detections.label": "what.name", "detections.confidence": "p", "detections.bbox": "at.l,at.t,at.r,at.b",
}  # fmt: skip


def home_made(log: Log, folder: Path) -> tuple[Path, Options]:
    def record(one: Record) -> dict[str, Any]:
        ms = one.latency_ms
        return {
            **_said(one, "model_id", "image_id", "source", "latency_ms"),
            "by": {"model": one.model_id},
            "file": one.image_id,
            "cam": [one.source],
            "ms": {} if ms is None else {"a": ms / 2, "b": ms / 2},
            "found": {"all": [
                {"what": {"name": box.label}, "p": box.confidence, "at": dict(zip("ltrb", box.corners, strict=True)),
                 **_ids(box)} for box in one.boxes]},
        }  # fmt: skip

    return _lines(folder / "mine.jsonl", map(record, log)), {"map": MAP, "box_format": "xyxy"}


def roboflow(log: Log, folder: Path) -> tuple[Path, Options]:
    def record(one: Record) -> dict[str, Any]:
        return {
            **_said(one, "image_width", "image_height", "latency_ms", "prediction_id"),
            **_filled({"inference_id": one.prediction_id}),
            **_filled({"time": None if one.latency_ms is None else one.latency_ms / 1000}),
            "image": {"width": one.image_width, "height": one.image_height},
            "predictions": [
                {**dict(zip(("x", "y", "width", "height"), box.centred, strict=True)), "confidence": box.confidence,
                 "class": box.label, "class_id": 0, **_filled({"detection_id": box.detection_id,
                 "tracker_id": box.track_id})} for box in one.boxes],
        }  # fmt: skip

    return _lines(folder / "responses.jsonl", map(record, log)), {}


def ultralytics(log: Log, folder: Path) -> tuple[Path, Options]:
    def record(one: Record) -> dict[str, Any]:
        ms = one.latency_ms
        parts = None if ms is None else dict.fromkeys(("preprocess", "inference", "postprocess"), 0.0) | {
            "inference": ms}  # fmt: skip
        return {
            **_said(one, "image_id", "image_width", "image_height", "latency_ms"),
            "path": one.image_id,
            "orig_shape": [one.image_height, one.image_width],
            "speed": parts,
            "results": [{"name": box.label, "class": 0, "confidence": box.confidence, **_ids(box),
                         "box": dict(zip(("x1", "y1", "x2", "y2"), box.corners, strict=True))} for box in one.boxes],
        }  # fmt: skip

    return _lines(folder / "wrapped.jsonl", map(record, log)), {}


def _labels(log: Log) -> list[str]:
    return sorted({box.label for one in log for box in one.boxes})


def _names(folder: Path, names: list[str]) -> Path:
    (folder / "names.json").write_text(_json(names), "utf-8")
    return folder / "names.json"


def _zipped(log: Log, names: list[str]) -> list[dict[str, Any]]:
    return [
        {
            **_said(one),
            "boxes": [box.corners for box in one.boxes],
            "labels": [names.index(box.label) for box in one.boxes],
            "scores": [box.confidence for box in one.boxes],
        }
        for one in log
    ]


def torchvision_lines(log: Log, folder: Path) -> tuple[Path, Options]:
    names = ["__background__", *_labels(log)]
    return _lines(folder / "tv.jsonl", _zipped(log, names)), {"categories": _names(folder, names)}


def torchvision_parquet(log: Log, folder: Path) -> tuple[Path, Options]:
    names = ["__background__", *_labels(log)]
    number = pa.float64()
    kinds = {"boxes": pa.list_(pa.list_(number)), "labels": pa.list_(pa.int64()), "scores": pa.list_(number),
             "latency_ms": number, "confidence_floor": number, "image_width": pa.int32(), "image_height": pa.int32(),
             "tags": pa.map_(pa.string(), pa.string())}  # fmt: skip
    rows = _zipped(log, names)
    columns = {name: pa.array([_pairs(row.get(name)) for row in rows], kinds.get(name, pa.string()))
               for name in dict.fromkeys(name for row in rows for name in row)}  # fmt: skip
    pq.write_table(pa.table(columns), folder / "tv.parquet")
    return folder / "tv.parquet", {"categories": _names(folder, names)}


def frigate(log: Log, folder: Path) -> tuple[Path, Options]:
    def event(one: Record) -> dict[str, Any]:
        (box,) = one.boxes
        start = one.ts.replace(tzinfo=UTC).timestamp()
        about = {"id": one.image_id, "camera": one.source, "label": box.label, "top_score": box.confidence}
        return {"type": "end", "before": {}, "after": {**about, "box": box.corners, "start_time": start,
                                                       "false_positive": False}}  # fmt: skip

    begun = {"type": "new", "before": {}, "after": {"camera": "x", "id": "x", "start_time": 1e9}}
    return _lines(folder / "events.jsonl", [begun, *map(event, log)]), {"model": log[0].model_id if log else "m"}


def events(log: list[Record]) -> list[Record]:
    """A record a box."""
    return [
        replace(one, source=one.source or "cam", image_id=f"{one.image_id} {n}-{k}", boxes=(box,))
        for n, one in enumerate(log) for k, box in enumerate(one.boxes)]  # fmt: skip


def images(log: Log, folder: Path, *, named: Callable[[str], str] = str) -> Path:
    """The list of the images of a log."""
    rows = [{**_said(one), "image_id": named(one.image_id)} for one in log]
    return _lines(folder / "images.jsonl", rows)


def _said_of(log: Log, folder: Path) -> Options:
    return {"model": log[0].model_id if log else "m", "images": images(log, folder)}


def _categories(log: Log, folder: Path) -> tuple[dict[str, int], Path]:
    """Ids with holes, as COCO's, and the file that names them."""
    ids = {label: 3 + 2 * k for k, label in enumerate(_labels(log))}
    (folder / "categories.json").write_text(_json([{"id": k, "name": name} for name, k in ids.items()]), "utf-8")
    return ids, folder / "categories.json"


def _results(log: Log, folder: Path, *, file_names: bool) -> tuple[Path, Options]:
    ids, categories = _categories(log, folder)
    rows = [
        {**({"image_id": n, "file_name": one.image_id} if file_names else {"image_id": one.image_id}),
         "category_id": ids[box.label], "bbox": [box.x, box.y, box.w, box.h], "score": box.confidence}
        for n, one in enumerate(log) for box in one.boxes]  # fmt: skip
    return _array(folder / "results.json", rows), {**_said_of(log, folder), "categories": categories}


def coco_results(log: Log, folder: Path) -> tuple[Path, Options]:
    return _results(log, folder, file_names=False)


def ultralytics_val(log: Log, folder: Path) -> tuple[Path, Options]:
    return _results(log, folder, file_names=True)


def coco_dataset(log: Log, folder: Path) -> tuple[Path, Options]:
    ids, _ = _categories(log, folder)
    content = {
        "images": [_filled({"id": n, "file_name": one.image_id, "width": one.image_width, "height": one.image_height})
                   for n, one in enumerate(log)],
        "annotations": [{"id": 1, "image_id": n, "category_id": ids[box.label], "bbox": [box.x, box.y, box.w, box.h],
                         "score": box.confidence} for n, one in enumerate(log) for box in one.boxes],
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
    }  # fmt: skip
    (folder / "coco.json").write_text(_json(content), "utf-8")
    return folder / "coco.json", _said_of(log, folder)


CORNERS = ("x_min", "y_min", "x_max", "y_max")


def _sink(log: Log) -> list[dict[str, Any]]:
    said = ("model_id", "image_id", "source", "image_uri", "prediction_id")
    return [
        {**dict(zip(CORNERS, box.corners, strict=True)), "class_id": 0, "confidence": "" if box.confidence is None
         else box.confidence, "tracker_id": box.track_id or "", "class_name": box.label, "timestamp": one.time,
         **{name: getattr(one, name) or "" for name in said}} for one in log for box in one.boxes]  # fmt: skip


def _table(path: Path, rows: Sequence[Mapping[str, Any]], names: Sequence[str], mark: str = ",") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, delimiter=mark)
        writer.writeheader()
        writer.writerows(rows)
    return path


def json_sink(log: Log, folder: Path) -> tuple[Path, Options]:
    return _array(folder / "sink.json", _sink(log)), {}


def csv_sink(log: Log, folder: Path) -> tuple[Path, Options]:
    rows = _sink(log)
    return _table(folder / "sink.csv", rows, list(rows[0])), {}


def _flat(log: Log) -> list[dict[str, Any]]:
    rows = []
    for one in log:
        said = {**_said(one), "tags": None if one.tags is None else _json(dict(one.tags))}
        boxes: Sequence[Box | None] = one.boxes or [None]
        for box in boxes:
            mine = {} if box is None else asdict(box)
            sides = dict.fromkeys("xywh") if box is None else {k: mine.pop(k) for k in "xywh"}
            rows.append({**said, **mine, **{f"bbox_{side}": value for side, value in sides.items()}})
    return rows


FLAT = ("model_id", "timestamp", "image_id", *OPTIONAL, "label", "confidence", "detection_id", "track_id",
        *(f"bbox_{side}" for side in "xywh"))  # fmt: skip


def flat_csv(log: Log, folder: Path) -> tuple[Path, Options]:
    return _table(folder / "log.csv", _flat(log), FLAT), {}


def flat_tsv(log: Log, folder: Path) -> tuple[Path, Options]:
    return _table(folder / "log.tsv", _flat(log), FLAT, "\t"), {}


def flat_parquet(log: Log, folder: Path) -> tuple[Path, Options]:
    numbers = ("confidence", "image_width", "image_height", "latency_ms", "confidence_floor", *FLAT[-4:])
    rows = _flat(log)
    columns = {name: pa.array([row.get(name) for row in rows], pa.float64() if name in numbers else pa.string())
               for name in FLAT}  # fmt: skip
    pq.write_table(pa.table(columns), folder / "flat.parquet")
    return folder / "flat.parquet", {}


def flat_lines(log: Log, folder: Path) -> tuple[Path, Options]:
    rows = (
        {key: value for key, value in row.items() if value is not None or key not in OPTIONAL} for row in _flat(log)
    )
    return _lines(folder / "boxes.jsonl", rows), {}


def flat_array(log: Log, folder: Path) -> tuple[Path, Options]:
    return _array(folder / "boxes.json", _flat(log)), {}


FPS = 8


def frames(log: list[Record]) -> list[Record]:
    """The frames of one video, of one class."""
    found = []
    for n, one in enumerate(log, start=1):
        boxes = tuple(replace(box, label="person", track_id=str(k)) for k, box in enumerate(one.boxes))
        when = START + timedelta(seconds=(n - 1) / FPS)
        size = (log[0].image_width or SIZE[0], log[0].image_height or SIZE[1])
        where: dict[str, Any] = {"source": "S1", "image_width": size[0], "image_height": size[1]}
        found.append(replace(one, image_id=f"S1/{n:06d}", ts=when, boxes=boxes, **where))
    return found


def mot(log: Log, folder: Path) -> tuple[Path, Options]:
    rows = [
        [int(one.image_id[3:]), int(box.track_id or 0), box.x, box.y, box.w, box.h,
         -1 if box.confidence is None else box.confidence, -1, -1, -1] for one in log for box in one.boxes]  # fmt: skip
    path = folder / "det.txt"
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    said = {"model": log[0].model_id, "source": "S1", "label": "person", "start": START, "fps": FPS}
    return path, {**said, "frames": (1, len(log)), "image_size": (log[0].image_width, log[0].image_height)}


def stems(log: list[Record]) -> list[Record]:
    """Images whose names can be those of files, with sizes."""
    found = []
    for n, one in enumerate(log):
        boxes = tuple(replace(box, track_id=str(k)) for k, box in enumerate(one.boxes))
        size = {"image_width": one.image_width or SIZE[0], "image_height": one.image_height or SIZE[1]}
        found.append(replace(one, image_id=f"{n}é.jpg", boxes=boxes, **size))
    return found


def save_txt(log: Log, folder: Path) -> tuple[Path, Options]:
    names = _labels(log)
    (folder / "labels").mkdir()
    for one in log:
        width, height = one.image_width or 1, one.image_height or 1
        rows = []
        for box in one.boxes:
            cx, cy, w, h = box.centred
            shares = [repr(cx / width), repr(cy / height), repr(w / width), repr(h / height)]
            rows.append([str(names.index(box.label)), *shares, repr(box.confidence), box.track_id or "0"])
        if rows:
            text = "".join(" ".join(row) + "\n" for row in rows)
            (folder / "labels" / f"{one.image_id[:-4]}.txt").write_text(text)
    return folder / "labels", {**_said_of(log, folder), "categories": _names(folder, names)}


COCO: dict[str, Any] = {"fields": LISTED, "ids": (), "unscored": False, "models": False, "repeats": False}
SINK: dict[str, Any] = {"fields": ("source", "image_uri", "prediction_id"), "ids": ("track_id",), "empties": False}
WRITERS = [
    Writer("JSON Lines", ("jsonl:JsonObjects",), canonical_lines),
    Writer("array", ("jsonl:JsonObjects",), canonical_objects),
    Writer("home-made", ("jsonl:JsonObjects",), home_made),
    Writer("Parquet", ("parquet:Parquet",), canonical_parquet),
    Writer("roboflow", ("roboflow:Roboflow",), roboflow, near=1e-3),
    Writer("ultralytics", ("ultralytics:Ultralytics",), ultralytics),
    Writer("torchvision", ("torchvision:TorchvisionJson",), torchvision_lines, ids=(), unscored=False),
    Writer("torchvision Parquet", ("torchvision:TorchvisionParquet",), torchvision_parquet, ids=(), unscored=False),
    Writer("frigate", ("frigate:Frigate",), frigate, ("source",), (), False, False, False, made=events),
    Writer("coco", ("coco:CocoDataset",), coco_dataset, **COCO),
    Writer("coco-results", ("coco:CocoResults",), coco_results, **COCO),
    Writer("ultralytics-val", ("coco:UltralyticsVal",), ultralytics_val, **COCO),
    Writer("JSONSink", ("supervision_json:SupervisionJson",), json_sink, **SINK),
    Writer("CSVSink", ("supervision_csv:SupervisionCsv",), csv_sink, **SINK),
    Writer("CSV", ("flat:FlatCsv",), flat_csv),
    Writer("TSV", ("flat:FlatCsv",), flat_tsv),
    Writer("flat Parquet", ("flat:FlatParquet",), flat_parquet),
    Writer("flat JSON Lines", ("flat_json:FlatJson",), flat_lines),
    Writer("flat array", ("flat_json:FlatJson",), flat_array),
    Writer("MOT", ("mot:Mot",), mot, ("image_width", "image_height"), (), models=False, made=frames),
    Writer("save_txt", ("savetxt:SaveTxt",), save_txt, LISTED, (), True, False, False, False, stems, 0.01),
]
