"""Every rule of docs/formats.md: a log that breaks it, and one that just does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Shell
from logs import FIRST, SECOND, Take, lines

from detmon.errors import InputRefused

BOX = FIRST["detections"][0]


def record(number: int = 0, **changes: Any) -> dict[str, Any]:
    """A record of its own time and image; `None` removes a field."""
    made = {**FIRST, "image_id": f"{number:06d}.jpg", "timestamp": f"2026-11-20T{number // 3600 % 24:02d}:"
            f"{number // 60 % 60:02d}:{number % 60:02d}Z", **changes}  # fmt: skip
    return {key: value for key, value in made.items() if value is not None}


def box(**changes: Any) -> dict[str, Any]:
    """A record with one box."""
    return record(detections=[{**BOX, **changes}])


def many(n: int, **changes: Any) -> list[dict[str, Any]]:
    """`n` good records."""
    return [record(k, **changes) for k in range(1, n + 1)]


TAGS_32 = {f"k{k}": "v" for k in range(32)}

QUARANTINED = [
    ("bad_json", b'{"image_id": "a", \n', b"{}\n", None, "not JSON at column 18"),
    ("bad_json", b'{"latency_ms": NaN, "image_id": "x", "detections": []}\n', None, None, "NaN"),
    ("bad_json", b"[1]\n", None, None, "not an object but a list"),
    ("missing_field", lines(record(timestamp=None)), lines(record()), "timestamp", "no `timestamp`"),
    ("missing_field", lines(record(model_id=None)), lines(record()), "model_id", "no `model_id`"),
    ("missing_field", lines(record(detections=None)), lines(record(detections=[])), "detections", "no `detections`"),
    ("missing_field", lines(box(label=None)), lines(box(label="car")), "label", "no `label`"),
    ("wrong_type", lines(box(confidence="0.9")), lines(box(confidence=0.9)), "confidence", "`confidence` is text"),
    ("wrong_type", lines(record(latency_ms="3")), lines(record(latency_ms=3)), "latency_ms", "`latency_ms` is text"),
    ("wrong_type", lines(record(image_id={"a": 1})), lines(record(image_id=7)), "image_id", "`image_id` is an object"),
    ("wrong_type", lines(record(detections={})), None, "detections", "`detections` is an object"),
    ("wrong_type", lines(box(label=True)), lines(box(label="True")), "label", "`label` is true or false"),
    ("wrong_type", lines(box(confidence=True)), None, "confidence", "`confidence` is true or false"),
    ("bad_text", lines(box(label="")), lines(box(label="x")), "label", "empty `label`"),
    ("bad_text", lines(record(image_id="x" * 513)), lines(record(image_id="x" * 512)), "image_id", "513 characters"),
    ("bad_text", lines(record(model_id="a\u0007")), lines(record(model_id="a b")), "model_id", "control characters"),
    ("bad_text", lines(box(label="caf\u0085")), lines(box(label="caf\u00e9")), "label", "control characters"),
    ("bad_time", lines(record(timestamp="2026-13-01T00:00:00Z")), None, "timestamp", '"2026-13-01T00:00:00Z" is not a'),
    ("bad_time", lines(record(timestamp=5)), lines(record(timestamp=1_763_625_600)), "timestamp", '"5" is not a time'),
    ("time_range", lines(record(timestamp="1970-01-21T09:00:00Z")), lines(record(timestamp="2000-01-01T00:00:00Z")),
     "timestamp", "1970-01-21T09:00:00Z is before 2000: seconds read as milliseconds?"),
    ("time_range", lines(record(timestamp="2026-11-22T00:00:01Z")), lines(record(timestamp="2026-11-22T00:00:00Z")),
     "timestamp", "more than a day after now"),
    ("score_range", lines(box(confidence=1.63)), lines(box(confidence=1.0000005)), "confidence", "confidence 1.63"),
    ("score_range", lines(box(confidence=-0.1)), lines(box(confidence=0)), "confidence", "confidence -0.1"),
    ("bad_box", lines(box(bbox=[1, 2, 3])), lines(box(bbox=[1, 2, 3, 4])), "bbox", "`bbox` has 3 numbers, not 4"),
    ("bad_box", lines(box(bbox=[1, 2, 3, None])), None, "bbox", ""),
    ("bad_box", lines(box(bbox=[1, 2, 3, 1e300])), None, "bbox", "bbox ["),
    ("too_many", lines(record(detections=[BOX] * 65_536)), lines(record(detections=[BOX] * 65_535)), "detections",
     "65536 detections"),
    ("bad_status", lines(record(status="fine")), lines(record(status="error", detections=[])), "status", "neither ok"),
    ("too_many_tags", lines(record(tags={**TAGS_32, "one": "more"})), lines(record(tags=TAGS_32)), "tags", "33 tags"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "bad", "good", "field", "reason"), QUARANTINED)
def test_a_bad_record_is_quarantined(
    take: Take, code: str, bad: bytes, good: bytes | None, field: str | None, reason: str
) -> None:
    around = lines(*many(200))
    taken = take(around + bad + lines(record(999)))
    (reject,) = taken.rejects
    assert (reject.code, reject.field, reject.line) == (code, field, 201)
    assert reason in reject.reason
    assert reject.raw == bad.decode().rstrip("\n")[:2000]
    assert len(taken.rows) == 201
    if good is not None and good != b"{}\n":
        taken = take(around + good)
        assert (taken.rejects, len(taken.rows)) == ([], 201)


def warned_logs() -> list[Any]:
    """code, a log that is warned of, one that just is not, count."""
    five_percent = [record(k, detections=[BOX, {**BOX, "label": "van"}]) for k in range(1)] + many(39)
    fewer = [record(k, detections=[BOX, {**BOX, "label": "van"}]) for k in range(1)] + many(40)
    constant = [record(k, detections=[{**BOX, "confidence": 1}]) for k in range(100)]
    ten = [record(k, detections=[{**BOX, "bbox": [j * 60, 0, 50, 50], "confidence": 0.5 + j / 100 + k / 1000}
                                 for j in range(10)]) for k in range(100)]  # fmt: skip
    return [
        ("unknown_field", lines(record(time_stamp="x")), lines(record()), 1),
        ("tag_type", lines(record(tags={"a": 1})), lines(record(tags={"a": "1"})), 1),
        ("future_time", lines(record(timestamp="2026-11-21T00:42:00Z")),
         lines(record(timestamp="2026-11-21T00:05:00Z")), 1),
        ("confidence_missing", lines(box(confidence=None)), lines(box(confidence=0)), 1),
        ("confidence_constant", lines(*constant), lines(*constant[:99]), 100),
        ("box_missing", lines(box(bbox=None)), lines(box()), 1),
        ("box_placeholder", lines(box(bbox=[0] * 4), box(bbox=[-1] * 4)), lines(box(bbox=[0, 0, 9, 9])), 2),
        ("box_empty", lines(box(bbox=[5, 5, 0, 9])), lines(box(bbox=[5, 5, 0.1, 9])), 1),
        ("box_outside", lines(*many(9), box(bbox=[600, 0, 41.5, 9])), lines(*many(9), box(bbox=[600, 0, 41, 9])), 1),
        ("twin_boxes", lines(*five_percent[:-2]), lines(*fewer), 2),
        ("duplicate_box", lines(record(detections=[BOX, BOX])),
         lines(record(detections=[BOX, {**BOX, "confidence": 0.4}])), 1),
        ("fixed_count", lines(*ten), lines(*ten[:99]), 100),
        ("label_is_number", lines(box(label="3")), lines(box(label="3"), box(label="car")), 1),
        ("bad_size", lines(record(image_width=0)), lines(record(image_width=1, image_height=1, detections=[])), 1),
        ("bad_latency", lines(record(latency_ms=-1)), lines(record(latency_ms=0)), 1),
        ("error_with_boxes", lines(record(status="error")), lines(record(status="error", detections=[])), 1),
        ("floor_moved", lines(record(confidence_floor=0.1, source="a"), record(confidence_floor=0.5, source="b")),
         lines(record(confidence_floor=0.1, source="a"), record(confidence_floor=0.1, source="b")), 1),
        ("empty_file", b"\n", lines(SECOND), 1),
    ]  # fmt: skip


@pytest.mark.parametrize(("code", "bad", "good", "count"), warned_logs())
def test_a_finding_is_counted_and_the_record_stored(take: Take, code: str, bad: bytes, good: bytes, count: int) -> None:
    taken = take(bad)
    assert taken.rejects == []
    assert len(taken.rows) == len([line for line in bad.splitlines() if line.strip()])
    assert taken.warnings[code].count == count
    assert "{" not in taken.warnings[code].message
    assert code not in take(good).codes


def test_what_is_repaired(take: Take) -> None:
    taken = take(
        lines(
            record(detections=[{**BOX, "bbox": [0, 0, 0, 0]}, BOX, {**BOX, "confidence": 1.0000005}]),
            record(image_width=-5, latency_ms=-3),
        )
    )
    first, second = taken.rows
    assert first["detections"][0]["w"] is None
    assert first["detections"][2]["confidence"] == 1.0
    assert (first["n_detections"], first["confidence_n"]) == (3, 3)
    assert (second["image_width"], second["latency_ms"], second["area_max"]) == (None, None, None)


SCORES = [0.1, 0.5, 0.9]


def scored(values: list[float]) -> bytes:
    return lines(*(record(k, detections=[{**BOX, "confidence": value}]) for k, value in enumerate(values)))


def boxed(boxes: list[list[float]], **changes: Any) -> bytes:
    return lines(*(record(k, detections=[{**BOX, "bbox": one}], **changes) for k, one in enumerate(boxes)))


GOOD_BOXES = [[10 + k, 20, 100, 60] for k in range(200)]
CORNERS = [[300.0 + k, 200, 400 + k, 400] for k in range(100)]
CENTRES = [[600.0, 450, 80, 60]] * 50 + [[40.0, 30, 80, 60]] * 50
REFUSED = [
    ("score_scale", "--score-scale logit", scored([*SCORES, -0.5, 7.0]),
     scored([0.5] * 198 + [0.6, -0.5, 7.0]), {"score_scale": "logit"}),
    ("score_scale", "--score-scale percent", scored([29, 51, 36]), scored([0.29, 0.51]), {"score_scale": "percent"}),
    ("score_scale", "--score-scale clip", scored([0.5, 1.2]), scored([0.5, 1.0]), {"score_scale": "clip"}),
    ("looks_normalised", "--box-format xywh-norm", boxed([[0.1, 0.2, 0.3, 0.4]]),
     boxed([[0.1, 0.2, 30, 40]]), {"box_format": "xywh-norm"}),
    ("box_format", "--box-format xyxy", boxed(CORNERS), boxed(GOOD_BOXES), {"box_format": "xyxy"}),
    ("box_format", "--box-format cxcywh", boxed(CENTRES), boxed(GOOD_BOXES), {"box_format": "cxcywh"}),
    ("latency_unit", "--latency-unit s", lines(*many(100, latency_ms=0.021)),
     lines(*many(99, latency_ms=0.021)), {"latency_unit": "s"}),
    ("no_zone", "--tz Europe/Madrid", lines(record(timestamp="2026-11-20T08:00:00")),
     lines(record()), {"tz": "Europe/Madrid"}),
    ("date_order", "write ISO 8601", lines(record(timestamp="03/04/2026 10:00")), lines(record()), None),
    ("mostly_bad", "--model NAME", lines(record(model_id=None), record(model_id=None), record()),
     lines(record(model_id=None), record()), {"model": "veh@3"}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "hint", "bad", "good", "cure"), REFUSED)
def test_a_doubtful_file_is_refused(
    take: Take, code: str, hint: str, bad: bytes, good: bytes, cure: dict[str, Any] | None
) -> None:
    with pytest.raises(InputRefused) as refused:
        take(bad)
    assert refused.value.code == code
    assert refused.value.message.startswith("log.jsonl: ")
    assert hint in (refused.value.hint or "")
    assert refused.value.exit_code == (4 if cure is None else 2)
    take(good)
    if cure is not None:
        assert take(bad, **cure).rejects == []


def test_an_option_is_obeyed_and_its_contradiction_told(take: Take) -> None:
    taken = take(scored([0.5] * 20 + [29, 51]), score_scale="probability")
    assert taken.codes == ["option_contradicted"]
    assert [reject.code for reject in taken.rejects] == ["score_range"] * 2


def test_impossible_boxes_are_refused_even_with_the_option(take: Take) -> None:
    with pytest.raises(InputRefused) as refused:
        take(boxed([[300, 200, 100, 50]] * 10), box_format="xyxy")
    assert refused.value.code == "box_format"


def test_a_line_too_long(take: Take) -> None:
    long = b'{"image_id": "' + b"x" * (17 << 20) + b'"}\n'
    taken = take(lines(*many(3)) + long + lines(record(9)))
    (reject,) = taken.rejects
    assert (reject.code, reject.line, len(reject.raw)) == ("line_too_long", 4, 2000)
    assert "the line has 17.8 MB; only its first 2,000 characters are kept" in reject.reason
    assert taken.table["line"].to_pylist() == [1, 2, 3, 5]
    taken = take(lines(*many(3)) + b'{"image_id": "' + b"x" * (15 << 20) + b'"}\n' + lines(record(9)))
    assert [reject.code for reject in taken.rejects] == ["missing_field"]


def test_the_last_line_cut_off(take: Take) -> None:
    cut = lines(*many(3)) + lines(record(9))[:-20]
    (reject,) = take(cut).rejects
    assert (reject.code, reject.line) == ("truncated_line", 4)
    (reject,) = take(cut + b"\n").rejects
    assert reject.code == "bad_json"


def test_fail_refuses_at_the_first_bad_record(take: Take) -> None:
    log = lines(*many(3), record(9, status="odd"))
    with pytest.raises(InputRefused, match=r"log\.jsonl:4: `status`") as refused:
        take(log, bad_rows="fail")
    assert refused.value.exit_code == 4
    assert take(lines(*many(3)), bad_rows="fail").rejects == []


def test_a_clock_change(take: Take) -> None:
    taken = take(lines(record(timestamp="2026-10-25T02:30:00")), tz="Europe/Madrid")
    assert taken.warnings["clock_change"].count == 1
    assert str(taken.rows[0]["ts"]) == "2026-10-25 00:30:00"
    assert take(lines(record(timestamp="2026-10-25T03:30:00")), tz="Europe/Madrid").codes == []


def test_epoch_times_say_how_they_were_read(take: Take) -> None:
    for stamp, unit in ((1_763_625_600, "seconds"), (1_763_625_600_000, "milliseconds"), (1_763_625_600.5, "seconds")):
        taken = take(lines(record(timestamp=stamp)))
        assert f"times read as {unit}" in taken.reading.because
        assert str(taken.rows[0]["ts"]).startswith("2025-11-20 08:00:00")


def test_merged_boxes(take: Take) -> None:
    twins = lines(
        record(detections=[{**BOX, "confidence": 0.5}, {**BOX, "label": "van"}, {**BOX, "bbox": [300, 1, 9, 9]}])
    )
    taken = take(twins, merge_boxes=0.95)
    assert [one["label"] for one in taken.rows[0]["detections"]] == ["van", "car"]


DEEP = [
    {"latency_ms": "21.4"},
    {"image_width": "640"},
    {"confidence_floor": "0.25"},
    {"latency_ms": float("nan")},
    {"detections": [{**BOX, "confidence": "0.91"}]},
    {"detections": [{**BOX, "bbox": [10, 20, "100", 60]}]},
    {"detections": [{**BOX, "label": True}]},
    {"image_id": 7, "latency_ms": "21.4"},
    {"source": None, "latency_ms": "21.4"},
]


@pytest.mark.parametrize("changes", DEEP, ids=str)
def test_wrong_types_deep_in_a_file(take: Take, changes: dict[str, Any]) -> None:
    taken = take(lines(*many(1500), {**record(1), **changes}))
    (reject,) = taken.rejects
    assert (reject.line, reject.code) == (1501, "bad_json" if changes == DEEP[3] else "wrong_type")
    assert len(taken.rows) == 1500


def test_numbers_as_text_beside_unknown_fields(take: Take) -> None:
    records = [{**one, "firmware": "1.2"} for one in many(1500)]
    records[1200]["latency_ms"] = "21.4"
    assert [reject.line for reject in take(lines(*records)).rejects] == [1201]


def test_fields_that_come_late(take: Take) -> None:
    late = {"image_uri": 's3://a/"b"', "tags": {"lane": "2"}, "source": None, "prediction_id": "p-1"}
    boxes = [{**BOX, "track_id": 7, "detection_id": "d-1"}]
    taken = take(lines(*many(1500), {**record(1), **late, "detections": boxes}))
    assert taken.rejects == []
    last = taken.rows[-1]
    assert {name: last[name] for name in late} == {**late, "tags": [("lane", "2")]}
    assert (last["detections"][0]["track_id"], last["detections"][0]["detection_id"]) == ("7", "d-1")
    assert taken.rows[0]["prediction_id"] is None


@pytest.mark.parametrize("sides", [("w", "h"), ("width", "height")])
def test_boxes_as_objects_in_a_long_file(take: Take, sides: tuple[str, str]) -> None:
    box = {**BOX, "bbox": {"x": 10, "y": 20, sides[0]: 100, sides[1]: 60}}
    taken = take(lines(*({**one, "detections": [box]} for one in many(1500))))
    assert taken.rejects == []
    assert {row["detections"][0]["w"] for row in taken.rows} == {100}


def test_bad_records_deep_in_a_big_file_keep_their_lines(take: Take) -> None:
    records = [json.dumps(one).encode() for one in many(15_000)]
    records[14_000] = b'{"broken'
    records[14_500] = json.dumps(record(1, detections=[{**BOX, "confidence": 3}])).encode()
    taken = take(b"\n".join(records) + b"\n")
    assert [(reject.line, reject.code) for reject in taken.rejects] == [(14_001, "bad_json"), (14_501, "score_range")]
    assert taken.rejects[0].raw == '{"broken'
    assert len(taken.rows) == 14_998


def test_half_a_surrogate_pair_in_tags(detmon: Shell) -> None:
    rows = ["image_id,timestamp,label,confidence,x1,y1,x2,y2,tags"]
    rows += [f'{k}.jpg,2026-11-20T08:00:0{k}Z,car,0.9,1,2,3,4,"{{""a"": ""b""}}"' for k in range(4)]
    rows += ['9.jpg,2026-11-20T08:00:09Z,car,0.9,1,2,3,4,"{""\\ud800"": ""b""}"']
    (detmon.folder / "log.csv").write_text("\n".join(rows) + "\n")
    done = detmon("ingest", "log.csv", "--model", "m", "--json").json
    assert (done["predictions"], done["rejected"]) == (4, 1)
    (found,) = detmon("quarantine", "list", "--json").json
    assert (found["line"], found["field"], found["code"]) == (6, "tags", "bad_text")


def test_a_sink_without_class_ids(detmon: Shell) -> None:
    (detmon.folder / "log.csv").write_text("x_min,y_min,x_max,y_max,confidence,class_name,frame\n10,20,30,40,0.9,,1\n")
    said = (
        "--log-format",
        "supervision-csv",
        "--map",
        "image_id=frame",
        "--start",
        "2026-11-20T08:00:00Z",
        "--fps",
        "1",
    )
    done = detmon("ingest", "log.csv", "--model", "m", *said, code=None)
    assert done.code in (2, 4)
    assert "reader" not in done.err
