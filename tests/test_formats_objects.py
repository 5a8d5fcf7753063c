"""Logs of JSON objects in other people's shapes: Roboflow, Ultralytics, torchvision, Frigate; the map."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from logs import Take, lines
from test_formats_flat import START

from detmon import formats
from detmon.errors import InputRefused
from detmon.formats import Options, Source, objectlines, registry
from detmon.plugins import own_formats

BESIDE = {"model_id": "veh@3", "timestamp": "2026-11-20T08:00:00Z", "image_id": "a.jpg", "source": "cam1"}
ROBOFLOW = {
    "inference_id": "i1",
    "time": 0.021,
    "image": {"width": 640, "height": 480},
    "predictions": [
        {"x": 60, "y": 50, "width": 100, "height": 60, "confidence": 0.91, "class": "car", "class_id": 2,
         "detection_id": "d1", "tracker_id": 7},
    ],
    **BESIDE,
}  # fmt: skip
ULTRALYTICS = {
    "model_id": "veh@3",
    "timestamp": "2026-11-20T08:00:00Z",
    "path": "cam1/a.jpg",
    "orig_shape": [480, 640],
    "speed": {"preprocess": 0.9, "inference": 8.1, "postprocess": 0.7},
    "results": [{"name": "car", "class": 2, "confidence": 0.9, "track_id": 4,
                 "box": {"x1": 10.0, "y1": 20.0, "x2": 110.0, "y2": 80.0}}],
}  # fmt: skip
TORCHVISION = {**BESIDE, "boxes": [[10, 20, 110, 80]], "labels": [3], "scores": [0.91]}
EVENT = {
    "type": "end",
    "before": {"id": "e1"},
    "after": {"id": "e1", "camera": "front", "label": "person", "top_score": 0.83, "false_positive": False,
              "box": [10, 20, 110, 80], "start_time": 1732089600.1},
}  # fmt: skip
BOX = [10.0, 20.0, 100.0, 60.0]


def box(row: dict[str, Any]) -> list[float]:
    """The first box of a stored record."""
    return [row["detections"][0][side] for side in "xywh"]


# --- Roboflow ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [lambda *some: lines(*some), lambda *some: json.dumps(some).encode()])
def test_roboflow(take: Take, write: Any) -> None:
    empty = {**ROBOFLOW, "inference_id": "i2", "predictions": []}
    taken = take(write(ROBOFLOW, empty), "log.json")
    assert (taken.reading.format, taken.reading.denominator) == ("roboflow", "known")
    first, second = taken.rows
    assert box(first) == BOX
    assert (first["prediction_id"], first["latency_ms"], first["image_width"], first["image_height"]) == (
        "i1", 21, 640, 480)  # fmt: skip
    detection = first["detections"][0]
    assert (detection["label"], detection["detection_id"], detection["track_id"]) == ("car", "d1", "7")
    assert (second["n_detections"], second["source"], taken.codes, taken.rejects) == (0, "cam1", [], [])


def test_roboflow_whose_first_images_are_empty(take: Take) -> None:
    empty = {**ROBOFLOW, "predictions": []}
    assert take(lines(empty, empty)).reading.format == "roboflow"
    assert take(lines(empty, ROBOFLOW)).reading.format == "roboflow"
    with pytest.raises(InputRefused) as refused:
        take(lines({"predictions": []}))
    assert refused.value.code == "unknown_format"


def test_roboflow_lacks_what_is_not_beside_it(take: Take) -> None:
    bare = {key: value for key, value in ROBOFLOW.items() if key not in BESIDE}
    with pytest.raises(InputRefused, match="no `model_id`") as refused:
        take(lines(bare))
    assert (refused.value.code, refused.value.exit_code) == ("mostly_bad", 2)
    with pytest.raises(InputRefused, match="no `image_id`"):
        take(lines(bare), model="m", start=START)
    (row,) = take(lines(bare), model="m", start=START, map={"image_id": "inference_id"}).rows
    assert (row["image_id"], row["prediction_id"]) == ("i1", "i1")


def test_a_batched_response(take: Take) -> None:
    batched = {**ROBOFLOW, "image": [{"width": 640, "height": 480}] * 2}
    with pytest.raises(InputRefused) as refused:
        take(lines(batched))
    assert (refused.value.code, refused.value.exit_code) == ("batched_response", 4)
    (reject,) = take(lines(*[ROBOFLOW] * 30, batched)).rejects
    assert (reject.line, reject.code) == (31, "batched_response")


def test_corners_under_the_keys_of_roboflow_come_through_a_map(take: Take) -> None:
    mapping = {"detections": "predictions", "detections.label": "class", "detections.bbox": "x,y,width,height"}
    taken = take(lines(ROBOFLOW), map=mapping)
    assert (taken.reading.format, box(taken.rows[0])) == ("detmon", [60, 50, 100, 60])


# --- Ultralytics -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [lambda *some: lines(*some), lambda *some: json.dumps(some).encode()])
def test_ultralytics(take: Take, write: Any) -> None:
    taken = take(write(ULTRALYTICS, {**ULTRALYTICS, "path": "cam1/b.jpg", "results": []}), "log.json")
    assert (taken.reading.format, taken.reading.denominator) == ("ultralytics-json", "known")
    first, second = taken.rows
    assert (first["image_id"], first["image_width"], first["image_height"]) == ("cam1/a.jpg", 640, 480)
    assert first["latency_ms"] == pytest.approx(9.7)
    assert (box(first), first["detections"][0]["track_id"], second["n_detections"]) == (BOX, "4", 0)
    assert (taken.codes, taken.rejects) == ([], [])


def test_rotated_boxes(take: Take) -> None:
    corners = {"x1": 60, "y1": 10, "x2": 110, "y2": 50, "x3": 60, "y3": 90, "x4": 10, "y4": 50}
    rotated = {**ULTRALYTICS, "results": [{**ULTRALYTICS["results"][0], "box": corners}]}
    bad = {**ULTRALYTICS, "results": [{**ULTRALYTICS["results"][0], "box": {"x1": 1, "y1": 2, "x3": 3}}]}
    taken = take(lines(*[ULTRALYTICS] * 9, rotated, bad))
    assert box(taken.rows[9]) == [10, 10, 100, 80]
    assert taken.warnings["rotated_box"].count == 1
    assert [(reject.line, reject.code) for reject in taken.rejects] == [(11, "bad_box")]
    assert "rotated_box" not in take(lines(ULTRALYTICS)).codes
    outside = {"x1": 320, "y1": -200, "x2": 900, "y2": 300, "x3": 320, "y3": 700, "x4": -100, "y4": 300}
    beyond = {**ULTRALYTICS, "results": [{**ULTRALYTICS["results"][0], "box": outside}]}
    assert box(take(lines(beyond)).rows[0]) == [0, 0, 640, 480]


def test_normalised_boxes_of_ultralytics(take: Take) -> None:
    shares = {"x1": 0.1, "y1": 0.2, "x2": 0.6, "y2": 0.7}
    log = lines({**ULTRALYTICS, "results": [{**ULTRALYTICS["results"][0], "box": shares}]})
    with pytest.raises(InputRefused) as refused:
        take(log)
    assert refused.value.code == "looks_normalised"
    assert str(refused.value.hint).startswith("--box-format xyxy-norm")
    (row,) = take(log, box_format="xyxy-norm").rows
    assert box(row) == pytest.approx([64, 96, 320, 240])


# --- torchvision -------------------------------------------------------------------------------------------------


def test_torchvision(take: Take, tmp_path: Path) -> None:
    empty = {**TORCHVISION, "image_id": "b.jpg", "boxes": [], "labels": [], "scores": []}
    taken = take(lines(TORCHVISION, empty))
    assert (taken.reading.format, taken.reading.denominator) == ("torchvision", "known")
    assert (box(taken.rows[0]), taken.rows[0]["detections"][0]["label"]) == (BOX, "3")
    assert (taken.rows[1]["n_detections"], taken.codes) == (0, ["label_is_number"])
    assert take(json.dumps([TORCHVISION, empty]).encode(), "log.json").table.equals(taken.table)
    types = {
        "boxes": pa.list_(pa.list_(pa.float32())),
        "labels": pa.list_(pa.int64()),
        "scores": pa.list_(pa.float64()),
    }
    columns = {name: pa.array([TORCHVISION[name], empty[name]], types.get(name)) for name in TORCHVISION}
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    parquet = take(tmp_path / "log.parquet")
    assert (parquet.reading.format, parquet.reading.denominator) == ("torchvision", "known")
    assert parquet.table.equals(taken.table)


def test_names_of_torchvision(take: Take, tmp_path: Path) -> None:
    (tmp_path / "with.txt").write_text("__background__\nperson\nbicycle\ncar\n")
    (tmp_path / "without.txt").write_text("person\nbicycle\ncar\nvan\n")
    (tmp_path / "ids.json").write_text('{"3": "car"}')
    for options in (
        {"categories": tmp_path / "with.txt"},
        {"categories": tmp_path / "without.txt", "category_offset": -1},
        {"categories": tmp_path / "ids.json"},
    ):
        (row,) = take(lines(TORCHVISION), **options).rows
        assert row["detections"][0]["label"] == "car"
    with pytest.raises(InputRefused) as refused:
        take(lines(TORCHVISION), categories=tmp_path / "without.txt")
    assert (refused.value.code, refused.value.hint) == ("category_base", "--category-offset -1")


def as_parquet(path: Path, *records: dict[str, Any]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(records)), path)
    return path


@pytest.mark.parametrize("parquet", [False, True])
def test_bad_rows_of_torchvision(take: Take, tmp_path: Path, parquet: bool) -> None:
    good = [{**TORCHVISION, "image_id": str(k)} for k in range(9)]
    short = {**TORCHVISION, "image_id": "short", "scores": []}
    odd = {**TORCHVISION, "image_id": "odd", "boxes": [[1, 2, 3]]}
    background = {**TORCHVISION, "image_id": "background", "labels": [0]}
    records = [*good, short, odd, background]
    log = as_parquet(tmp_path / "log.parquet", *records) if parquet else lines(*records)
    taken = take(log)
    assert [(reject.line, reject.code) for reject in taken.rejects] == [(10, "lengths_differ"), (11, "bad_box")]
    assert taken.rejects[0].reason.startswith("`boxes`, `labels` and `scores` have 1, 1 and 0 entries")
    assert '"image_id": "short"' in taken.rejects[0].raw
    assert taken.warnings["background_label"].count == 1
    assert [row["line"] for row in taken.rows] == [*range(1, 10), 12]
    good_log = as_parquet(tmp_path / "good.parquet", *good) if parquet else lines(*good)
    assert "background_label" not in take(good_log).codes


# --- Frigate -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [lambda *some: lines(*some), lambda *some: json.dumps(some).encode()])
def test_frigate(take: Take, write: Any) -> None:
    false = {**EVENT, "after": {**EVENT["after"], "id": "e2", "false_positive": True}}
    taken = take(write({**EVENT, "type": "new", "before": None}, {**EVENT, "type": "update"}, EVENT, false), model="m")
    assert (taken.reading.format, taken.reading.denominator) == ("frigate", "unknown")
    (row,) = taken.rows
    assert (row["image_id"], row["source"], row["line"]) == ("e1", "front", 3)
    assert row["ts"] == datetime(2024, 11, 20, 8, 0, 0, 100_000)
    assert (box(row), row["detections"][0]["label"], row["confidence_sum"]) == (BOX, "person", 0.83)
    assert {code: taken.warnings[code].count for code in taken.codes} == {"best_of_track": 1, "false_positive": 1}
    assert taken.rejects == []


def test_frigate_and_other_lines(take: Take) -> None:
    log = lines(*[EVENT] * 5, {"type": "end"}, {"type": "restart", "after": {}})
    assert [reject.line for reject in take(log, model="m").rejects] == [6, 7]


# --- supervision -------------------------------------------------------------------------------------------------

SINK = {"x_min": 10.0, "y_min": 20.0, "x_max": 110.0, "y_max": 80.0, "class_id": 2, "confidence": 0.91,
        "tracker_id": "", "class_name": "car", "frame": 3}  # fmt: skip


def test_supervision_json(take: Take, tmp_path: Path) -> None:
    other = {**SINK, "x_min": 50.0, "tracker_id": 7, "confidence": "", "class_name": "van", "class_id": 3}
    log = json.dumps([SINK, {**SINK, "frame": 5}, other], indent=4).encode()
    given = {"model": "m", "start": START, "fps": 1.0, "map": {"image_id": "frame"}}
    taken = take(log, "log.json", **given)
    assert (taken.reading.format, taken.reading.denominator) == ("supervision-json", "unknown")
    first, second = taken.rows
    assert (first["image_id"], box(first), first["n_detections"]) == ("3", BOX, 2)
    assert [(one["label"], one["track_id"]) for one in first["detections"]] == [("car", None), ("van", "7")]
    assert (second["ts"] - first["ts"]).total_seconds() == 2
    assert taken.codes == ["confidence_missing", "gaps_in_ids"]
    with pytest.raises(InputRefused, match="no `image_id`") as refused:
        take(log, "log.json", model="m", start=START)
    assert refused.value.hint == "--map image_id=COLUMN"


def test_classes_of_supervision_json(take: Take, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("person\nbicycle\ncar\n")
    given = {"model": "m", "start": START, "map": {"image_id": "frame"}}
    unnamed = json.dumps([{**SINK, "class_name": ""}]).encode()
    (row,) = take(unnamed, "log.json", categories=tmp_path / "names.txt", **given).rows
    assert row["detections"][0]["label"] == "car"
    assert take(unnamed, "log.json", **given).codes == ["label_is_number"]
    taken = take(json.dumps([SINK, {**SINK, "class_name": "van", "frame": 4}]).encode(), "log.json", **given)
    assert "id 2 is both car and van" in taken.warnings["two_names"].message


def test_bad_rows_of_supervision_json(take: Take) -> None:
    good = [{**SINK, "frame": k} for k in range(9)]
    bad = [{**SINK, "frame": "a", "confidence": "high"}, 7, {**SINK, "frame": 1.5}]
    taken = take(json.dumps([*good, *bad]).encode(), "log.json", model="m", start=START, map={"image_id": "frame"})
    assert [(reject.line, reject.code) for reject in taken.rejects] == [
        (10, "wrong_type"), (11, "bad_json"), (12, "wrong_type")]  # fmt: skip
    assert len(taken.rows) == 9


# --- home-made JSON, and the originals of real logs --------------------------------------------------------------


def test_a_map_of_nested_json(take: Take) -> None:
    for content in (lines(HOME_MADE), json.dumps([HOME_MADE]).encode()):
        taken = take(content, model="m", map=MAP)
        (row,) = taken.rows
        assert (row["image_id"], row["source"], row["image_width"], row["image_height"]) == ("3", "c1", 640, 480)
        assert (row["latency_ms"], row["tags"]) == (3.5, [("site", "north")])
        assert [(one["label"], one["confidence"], one["w"]) for one in row["detections"]] == [
            ("car", 0.5, 30), ("7", 1, 30)]  # fmt: skip
        assert taken.rejects == []


def test_a_key_that_holds_the_whole_path_wins(take: Take) -> None:
    log = lines(*[HOME_MADE] * 3, {**HOME_MADE, "meta.cam": "c2", "ms.a+ms.b": 7})
    taken = take(log, model="m", map=MAP)
    assert [(row["source"], row["latency_ms"]) for row in taken.rows] == [*[("c1", 3.5)] * 3, ("c2", 7)]


def test_a_mapped_box_that_is_missing(take: Take) -> None:
    mapping = {**MAP, "detections.bbox": "at.0,at.1,at.2,at.3"}
    found = [{**HOME_MADE["found"][0], "at": at} for at in ([1, 2, 30, 40], None, [1, 2, 30])]
    good = {**HOME_MADE, "found": found[:2]}
    taken = take(lines(*[good] * 3, {**HOME_MADE, "found": found}), model="m", map=mapping)
    assert [one["w"] for one in taken.rows[0]["detections"]] == [30, None]
    assert taken.warnings["box_missing"].count == 3
    assert [(reject.line, reject.code) for reject in taken.rejects] == [(4, "bad_box")]


# --- the fast way and the slow one -------------------------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats(allow_nan=False) | st.text(max_size=6)
odd = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(max_size=3), scalars, max_size=2)
HOME_MADE = {
    "frame": 3, "when": "2026-11-20T08:00:00Z", "meta": {"cam": "c1", "size": [640, 480]}, "ms": {"a": 1.5, "b": 2},
    "tags": {"site": "north"},
    "found": [{"n": "car", "p": 0.5, "at": [1, 2, 30, 40]}, {"n": 7, "p": 1, "at": [1.5, 2, 30, 40]}],
}  # fmt: skip
MAP = {
    "image_id": "frame", "timestamp": "when", "source": "meta.cam", "image_width": "meta.size.0",
    "image_height": "meta.size.1", "latency_ms": "ms.a+ms.b", "detections": "found", "detections.label": "n",
    "detections.confidence": "p", "detections.bbox": "at",
}  # fmt: skip
SEEDS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "roboflow": (ROBOFLOW, {}),
    "ultralytics-json": (ULTRALYTICS, {}),
    "torchvision": (TORCHVISION, {}),
    "detmon": (HOME_MADE, MAP),
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to everything in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in items for place in ((*path, key), *places(inner, (*path, key)))]


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with another value at a path."""
    key, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = put(copy[key], tuple(rest), new) if rest else new
    return copy


@st.composite
def altered(draw: Any) -> tuple[str, list[Any]]:
    """A few records of a format, some with odd values somewhere."""
    name = draw(st.sampled_from(sorted(SEEDS)))
    seed = SEEDS[name][0]
    records = []
    for _ in range(draw(st.integers(1, 4))):
        record = seed
        for place in draw(st.lists(st.sampled_from(places(seed)), max_size=2, unique=True)):
            try:
                record = put(record, place, draw(odd))
            except (TypeError, KeyError, IndexError):
                continue  # below something that was altered already
        records.append(record)
    return name, records


def chunks_of(name: str, data: bytes, mapping: dict[str, str], *, slowly: bool) -> tuple[Any, ...]:
    """What a reader makes of lines."""
    from io import BytesIO

    from detmon.formats.inputs import Input

    options = Options(map=mapping)
    reader = registry.readers_of(name, own_formats())[0]
    form = reader.form(options)
    form.odd = form.odd or slowly
    reader.form = lambda options: form
    made = list(reader.read(Input(Source("-", stream=BytesIO(data))), options))
    rows = [formats.frame.frame_of(chunk, "UTC") for chunk in made]  # type: ignore[attr-defined]
    records = []
    for frame in rows:
        ends = frame.boxes.offsets.tolist()
        scores, sides = frame.boxes.confidence.tolist(), frame.boxes.xywh.T.tolist()
        for k in range(len(frame)):
            some = slice(ends[k], ends[k + 1])
            records.append(
                [frame.line[k], *(texts[k].as_py() for texts in frame.texts.values()),
                 *(numbers[k] for numbers in frame.numbers.values()), frame.times.micros[k], frame.times.state[k],
                 frame.tags[k].as_py(), frame.listed[k], frame.boxes.label[some].to_pylist(), scores[some], sides[some],
                 frame.boxes.track_id[some].to_pylist(), frame.boxes.detection_id[some].to_pylist(),
                 frame.faults.found.get(k)]
            )  # fmt: skip
    seen: dict[str, int] = {}
    for one in (one for chunk in made for one in chunk.seen):
        seen[one.code] = seen.get(one.code, 0) + one.n
    return repr(records), [reject for chunk in made for reject in chunk.rejects], seen


def check_both_ways(name: str, records: list[Any]) -> None:
    data = lines(*records)
    mapping = SEEDS[name][1]
    assert chunks_of(name, data, mapping, slowly=False) == chunks_of(name, data, mapping, slowly=True)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(altered())
def test_the_fast_way_equals_the_slow_way(found: tuple[str, list[Any]]) -> None:
    check_both_ways(*found)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(altered())
def test_the_fast_way_equals_the_slow_way_often(found: tuple[str, list[Any]]) -> None:
    check_both_ways(*found)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize("name", SEEDS)
def test_what_is_not_json_is_not_overlooked_in_other_fields(name: str, value: float) -> None:
    records = [SEEDS[name][0] | {"note": value if k == 7 else 1} for k in range(20)]
    check_both_ways(name, records)
    assert len(chunks_of(name, lines(*records), SEEDS[name][1], slowly=False)[1]) == 1


@pytest.mark.parametrize("name", SEEDS)
def test_good_lines_go_the_fast_way(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    record, mapping = SEEDS[name]
    slowly = chunks_of(name, lines(*[record] * 50), mapping, slowly=True)

    def never(*args: Any) -> None:
        raise AssertionError("line by line")

    monkeypatch.setattr(objectlines, "_slowly", never)
    assert chunks_of(name, lines(*[record] * 50), mapping, slowly=False) == slowly
