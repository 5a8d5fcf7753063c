"""A camera fleet that never existed: the log behind `detmon demo` and behind the tests.

The world is the one of docs/statistics.md, "the simulated fleet": boxes cluster within images and images within hours,
days differ from one another, nights and weekends differ from days, and every camera has its own mix and its own optics.
A test that passes on independent boxes and fails here would cry wolf in production.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detmon.errors import UsageError
from detmon.records import Record
from detmon.stats.buckets import bucket
from detmon.store import Connection, statement

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MODEL = "vehicles@3"
STAMP = "# made by `detmon demo`, which may make it again\n"
CHECK_EVERY = timedelta(hours=3)
CLASSES = ("car", "person", "truck", "bicycle", "bus", "motorcycle", "dog", "trailer")
_BASE_SHARE = (0.40, 0.22, 0.14, 0.10, 0.06, 0.045, 0.025, 0.01)
_LOGIT_MEAN = (1.6, 1.4, 1.2, 1.3, 1.0, 0.9, 0.8, 0.7)
_WEEKEND_MIX = (-0.15, 0.2, 0.1, 0.0, -0.2, 0.1, 0.0, 0.0)
_NIGHT_MIX = (0.1, -0.2, 0.3, 0.0, -0.3, 0.2, 0.0, 0.0)
_BOX_WIDTH = (120, 40, 190, 60, 220, 70, 45, 160)
_BOX_ASPECT = (0.62, 2.3, 0.75, 1.1, 0.8, 1.0, 0.8, 0.6)
IMAGE_WIDTH, IMAGE_HEIGHT = 1280, 720
CONFIDENCE_FLOOR = 0.05


@dataclass(frozen=True)
class World:
    """What is in the fleet's days.

    `days` days from `start` (a midnight, UTC), `cameras` cameras with a frame each `seconds` seconds. The last
    `bad_days` are the bad week: in the nights and mornings fog takes confidence and far objects, camera `dirty` has a
    dirty lens all day, camera `slow` answers slowly (cameras count from 0). `level` 0 has no clusters, season or day
    effects at all, 1 has clusters and the season, 2 also days and weekends.
    """

    start: datetime
    days: int = 35
    cameras: int = 6
    seconds: int = 120
    bad_days: int = 7
    dirty: int = 2
    slow: int = 4
    level: int = 2
    seed: int = 7


def camera(number: int) -> str:
    """The source of camera `number` (from 0)."""
    return f"cam-{number + 1}"


def days_of(world: World, model_id: str = MODEL) -> Iterator[tuple[datetime, pa.Table]]:
    """The fleet's log, a day at a time: (midnight, canonical nested table), equal for equal worlds."""
    import numpy as np

    rng = np.random.default_rng(world.seed)
    traits = _Traits(
        tilt=rng.normal(0, 0.5, (world.cameras, len(CLASSES))),
        log_rate=rng.normal(0, 0.3, world.cameras),
        optics=rng.normal(0, 0.15, world.cameras),
    )
    frames = 86400 // world.seconds
    series = _Series(world, rng, frames)
    for day in range(world.days):
        yield world.start + timedelta(days=day), _day(world, traits, series, day, frames, rng, model_id)


@dataclass
class _Traits:
    """What makes one camera unlike another; drawn once."""

    tilt: Floats
    log_rate: Floats
    optics: Floats


class _Series:
    """The slow randomness: what whole days, hours and minutes share."""

    def __init__(self, world: World, rng: np.random.Generator, frames: int) -> None:
        days, cameras, classes = world.days, world.cameras, len(CLASSES)
        on = float(world.level >= 2)
        self.day_rate = on * rng.normal(0, 0.12, days)
        self.day_mix = on * rng.normal(0, 0.08, (days, classes))
        self.day_confidence = on * rng.normal(0, 0.05, days)
        clustered = float(world.level >= 1)
        self.hour_rate = clustered * _ar(days * 24, 0.8, 0.2, (cameras,), rng)
        step = math.exp(math.log(0.95) * world.seconds / 300)  # the same memory, whatever the frame rate
        self.crowd = clustered * _ar(days * frames, step, 0.8, (cameras, classes), rng)
        self.light = _ar(days * frames, math.exp(math.log(0.9) * world.seconds / 300), 0.4 * clustered, (cameras,), rng)


def _ar(steps: int, phi: float, sd: float, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """A stationary AR(1) of standard deviation `sd`, time first."""
    series: Floats = rng.normal(0, sd, (steps, *shape))
    series[1:] *= math.sqrt(1 - phi * phi)
    for step in range(1, steps):
        series[step] += phi * series[step - 1]
    return series


def _day(
    world: World, traits: _Traits, series: _Series, day: int, frames: int, rng: np.random.Generator, model_id: str
) -> pa.Table:
    import numpy as np

    cameras, classes = world.cameras, len(CLASSES)
    hours = np.arange(frames) * world.seconds / 3600
    night = (hours < 6) | (hours >= 21)
    weekend = (world.start + timedelta(days=day)).weekday() >= 5 and world.level >= 2
    seasonal = world.level >= 1
    bad = day >= world.days - world.bad_days
    fog = ((hours < 9) | (hours >= 21)) if bad else np.zeros(frames, bool)

    log_share = np.log(_BASE_SHARE) + series.day_mix[day] + weekend * np.array(_WEEKEND_MIX)
    share = np.exp(log_share + seasonal * night[:, None] * np.array(_NIGHT_MIX))  # frame, class
    share = share / share.sum(axis=1, keepdims=True)
    share = share[:, None, :] * np.exp(traits.tilt)  # frame, camera, class
    share[fog, :, 4:] *= 0.6
    share /= share.sum(axis=2, keepdims=True)

    season = 1 + seasonal * 0.8 * np.sin(2 * np.pi * (hours - 8) / 24)
    hour_rate = series.hour_rate[day * 24 + hours.astype(int)]  # frame, camera
    log_rate = traits.log_rate + hour_rate + series.day_rate[day] - 0.35 * weekend
    rate = 2.5 * season[:, None] * np.exp(log_rate) * np.where(fog, 0.7, 1.0)[:, None]
    span = slice(day * frames, (day + 1) * frames)
    crowd = np.exp(series.crowd[span] - 0.32) if seasonal else 1.0
    counts = rng.poisson(rate[:, :, None] * share * crowd)  # frame, camera, class

    frame, camera, label = (
        np.repeat(index, counts.ravel()) for index in np.unravel_index(np.arange(counts.size), counts.shape)
    )
    optics = traits.optics + 0.3
    if bad:
        optics = optics - 1.1 * (np.arange(cameras) == world.dirty)
    logit = (
        np.array(_LOGIT_MEAN)[label]
        + optics[camera]
        + series.day_confidence[day]
        + series.light[span][frame, camera]
        - 0.3 * seasonal * night[frame]
        - 0.7 * fog[frame]
        + rng.normal(0, 0.9, len(label))
    )
    confidence = 1 / (1 + np.exp(-logit))
    seen = confidence >= CONFIDENCE_FLOOR
    frame, camera, label, confidence = frame[seen], camera[seen], label[seen], confidence[seen]
    latency = _latency(world, bad, frames, rng, np.bincount(frame * cameras + camera, minlength=frames * cameras))
    return _table(world, day, frames, frame * cameras + camera, label, confidence, latency, rng, model_id, classes)


def _latency(world: World, bad: bool, frames: int, rng: np.random.Generator, boxes: Any) -> Floats:
    """Milliseconds of each image: a little more with more boxes, a long tail, and one camera that turns slow."""
    import numpy as np

    latency = np.exp(rng.normal(math.log(28), 0.18, frames * world.cameras)) + 0.4 * boxes
    tail = 0.004
    if bad:
        slow = np.tile(np.arange(world.cameras) == world.slow, frames)
        latency = np.where(slow, latency * 2.2, latency)
        stall = slow & (rng.random(len(latency)) < 0.4)
        latency = np.where(stall, latency + rng.exponential(350, len(latency)), latency)
    slow_down = np.where(rng.random(len(latency)) < tail, rng.exponential(60, len(latency)), 0.0)
    result: Floats = latency + slow_down
    return result


def _table(
    world: World,
    day: int,
    frames: int,
    image: Any,
    label: Any,
    confidence: Any,
    latency: Floats,
    rng: np.random.Generator,
    model_id: str,
    classes: int,
) -> pa.Table:
    """The day's arrays as a canonical log: one row an image, cameras interleaved in time."""
    import numpy as np
    import pyarrow as pa

    n, cameras = frames * world.cameras, world.cameras
    midnight = world.start + timedelta(days=day)
    moments = np.datetime64(midnight, "us") + np.repeat(np.arange(frames) * world.seconds * 1_000_000, cameras)
    moments = moments + np.tile(np.arange(cameras) * 150_000, frames)  # the cameras answer one after the other
    names = np.array([camera(number) for number in range(cameras)])
    source = np.tile(names, frames)
    stamps = np.datetime_as_string(moments, unit="s")

    width = np.array(_BOX_WIDTH)[label] * np.exp(rng.normal(0, 0.45, len(label)))
    width = np.clip(width, 8, IMAGE_WIDTH * 0.9)
    height = np.clip(width * np.array(_BOX_ASPECT)[label], 8, IMAGE_HEIGHT * 0.9)
    left = rng.random(len(label)) * (IMAGE_WIDTH - width)
    top = rng.random(len(label)) * (IMAGE_HEIGHT - height)
    boxes = pa.StructArray.from_arrays(
        [pa.array(np.round(side, 1), pa.float32()) for side in (left, top, width, height)], ["x", "y", "w", "h"]
    )
    detections = pa.StructArray.from_arrays(
        [
            pa.DictionaryArray.from_arrays(pa.array(label, pa.int32()), pa.array(CLASSES[:classes])).cast(pa.string()),
            pa.array(np.round(confidence, 4), pa.float32()),
            boxes,
        ],
        ["label", "confidence", "bbox"],
    )
    offsets = np.concatenate([[0], np.cumsum(np.bincount(image, minlength=n))])
    return pa.table(
        {
            "model_id": pa.array([model_id] * n),
            "timestamp": pa.array(moments, pa.timestamp("us", tz="UTC")),
            "image_id": pa.array([f"{where}/{when}.jpg" for where, when in zip(source, stamps, strict=True)]),
            "source": pa.array(source),
            "image_width": pa.array(np.full(n, IMAGE_WIDTH), pa.int32()),
            "image_height": pa.array(np.full(n, IMAGE_HEIGHT), pa.int32()),
            "latency_ms": pa.array(np.round(latency, 2), pa.float64()),
            "confidence_floor": pa.array(np.full(n, CONFIDENCE_FLOOR), pa.float64()),
            "detections": pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), detections),
        }
    )


def write_logs(world: World, folder: Path, model_id: str = MODEL) -> list[Path]:
    """The fleet's log as one Parquet file a day, `folder/YYYY-MM-DD.parquet`; returns the paths in order."""
    import pyarrow.parquet as parquet

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for midnight, table in days_of(world, model_id):
        path = folder / f"{midnight:%Y-%m-%d}.parquet"
        parquet.write_table(table, path, compression="zstd")
        paths.append(path)
    return paths


# --- the story -----------------------------------------------------------------------------------------------------


def rules(notices: Path) -> list[dict[str, Any]]:
    """The demo's alert rules, as `Client.create_alert` takes them; they tell the file `notices`."""
    told = [f"file:{notices.resolve()}"]
    fleet = {"window": "1h", "every": "1h"}
    return [
        {
            "name": "Low Confidence Alert",
            "condition": {"metric": "avg_confidence", "operator": "lt", "threshold": 0.7, **fleet},
            "repeat": "24h",
            "notify": told,
        },
        {
            "name": "High Latency Alert",
            "condition": {"metric": "p99_latency_ms", "operator": "gt", "threshold": 200, **fleet},
        },
        {
            "name": "Camera Confidence",
            "condition": {"metric": "avg_confidence", "operator": "lt", "threshold": 0.65, "window": "24h"},
            "every": "1h",
            "by": ["source"],
            "repeat": "3d",
            "notify": told,
        },
    ]


DATASET = "review"
ENGINE = {
    "low_confidence": {"enabled": True, "threshold": 0.5, "sample_rate": 0.008},
    "random_sample": {"enabled": True, "rate": 0.0015},
}
"""What the demo's data engine flags: a few hundred images, unsure ones more often."""
MISSED_RATE = 0.15
"""The share of the images in which the model missed somebody."""


def is_right(prediction_id: str, place: int, confidence: float) -> bool:
    """Whether a box is right: the fleet's model is as sure of itself as it should not be (docs/quality.md)."""
    right = 1 / (1 + ((1 - confidence) / confidence) ** 1.1 * math.exp(0.5)) if confidence > 0 else 0.0
    return bucket("right", f"{prediction_id}:{place}") < right


def verdicts(items: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """What a reviewer who knows the truth says of flagged images, as `feedback import` takes it."""
    for item in items:
        about = {"prediction_id": item.prediction_id, "scope": "exhaustive", "reviewer": "demo"}
        for place, box in enumerate(item.detections):
            right = is_right(item.prediction_id, place, box["confidence"])
            yield about | {"detection_index": place, "feedback_type": "correct" if right else "false_positive"}
        if bucket("missed", item.prediction_id) < MISSED_RATE:
            yield about | {"feedback_type": "missed_object", "true_label": "person"}
        elif not item.detections:
            yield about | {"feedback_type": "correct"}


def write_verdicts(items: Iterable[Any], path: Path) -> float:
    """The reviewer's verdicts as JSON Lines; returns the share of right boxes among those, chosen as they were."""
    rows = list(verdicts(items))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    boxes = [row["feedback_type"] == "correct" for row in rows if "detection_index" in row]
    return float(sum(boxes) / len(boxes))


def truth(con: Connection) -> Truth:
    """The truth of the whole log, which nobody knows in production."""
    ((right, boxes, missed),) = con.execute(statement("demo_truth"), {"missed": MISSED_RATE}).fetchall()
    return Truth(precision=right / boxes, recall=right / (right + missed))


def prepare(folder: Path) -> None:
    """Make the demo's folder, or empty the one of an earlier demo. Raises UsageError for anybody else's folder."""
    settings = folder / "detmon.toml"
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not settings.is_file() or not settings.read_text("utf-8").startswith(STAMP):
            raise UsageError(f"{folder} is not empty, and no earlier demo", "name another folder: detmon demo DIR")
        shutil.rmtree(folder / "logs", ignore_errors=True)
        for name in ("detmon.duckdb", "detmon.duckdb.wal", "notices.jsonl", "reviews.jsonl"):
            (folder / name).unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    settings.write_text(STAMP + 'db = "detmon.duckdb"\n', "utf-8")


def world_before(now: datetime) -> World:
    """The demo's world: 35 days that end with the last midnight before `now`."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return World(start=midnight - timedelta(days=World.days))


def check_times(world: World) -> list[datetime]:
    """When the demo checks its alerts: every three hours of the bad week."""
    end = world.start + timedelta(days=world.days)
    first = end - timedelta(days=world.bad_days)
    return [first + CHECK_EVERY * step for step in range(1 + (end - first) // CHECK_EVERY)]


def episodes(events: Iterable[Any]) -> list[dict[str, Any]]:
    """The stays in `firing` that the checks' events tell of, in order of their beginning."""
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        if event.kind == "firing":
            start = {"alert": event.alert, "labels": dict(event.labels), "start": event.slot, "end": None}
            found[event.episode_id] = start
        elif event.kind == "resolved" and event.episode_id in found:
            found[event.episode_id]["end"] = event.slot
    return sorted(found.values(), key=lambda one: (one["start"], one["alert"], str(one["labels"])))


@dataclass(frozen=True)
class Truth(Record):
    """What only the demo knows: the share of right boxes of all, and the share of all objects that were found."""

    precision: float
    recall: float


@dataclass(frozen=True)
class Story(Record):
    """What `detmon demo` did and found; `episodes` are the stays in `firing`, in order."""

    folder: str
    model_id: str
    cameras: int
    days: int
    ingested: Any
    alerts: tuple[Any, ...]
    checks: int
    episodes: tuple[dict[str, Any], ...]
    firing: tuple[Any, ...]
    notices: int
    drift: Any
    reviewed: int
    reviewed_share: float
    """Of right boxes among the reviewed ones, as if their images had not been chosen for being doubtful."""
    quality: Any
    truth: Truth

    @property
    def done(self) -> str:
        """What was done to the fleet in its last week, which the alerts are to find out."""
        return f"in the last week fog at night, a dirty lens on {camera(World.dirty)}, a slow {camera(World.slow)}"


def watched(checks: Sequence[Any]) -> dict[str, Any]:
    """What the story tells of the checks over time."""
    return {
        "checks": len(checks),
        "episodes": tuple(episodes(event for check in checks for event in check.events)),
        "firing": tuple(instance for instance in checks[-1].instances if instance.state == "firing"),
        "notices": sum(check.delivery.sent for check in checks),
    }
