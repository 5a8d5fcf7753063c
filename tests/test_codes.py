"""Every code that reading can end in: a log that triggers it, and one that just does not. None is left out.

Codes are those of the messages about logs, about files of verdicts and about ground truth. They are found in the
source (`emitted`), so a new one without its pair of logs makes this fail.
"""

from __future__ import annotations

import ast
import gzip
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Shell
from logs import FIRST, NOW, Taken, lines
from test_formats_objects import EVENT, ROBOFLOW, TORCHVISION, ULTRALYTICS
from test_validation import BOX, QUARANTINED, REFUSED, box, many, record, warned_logs

from detmon import Client, formats
from detmon.errors import DetmonError
from detmon.formats import Options, Source
from detmon.ingest import folders
from detmon.ingest.sources import resolve, settings
from detmon.plugins import own_formats

Content = bytes | str
START = {"model": "m", "start": "2026-11-20T08:00:00Z"}
HEAD = "image_id,timestamp,label,confidence,x1,y1,x2,y2"
SIZED = {**START, "image_size": (640, 480)}


@dataclass(frozen=True)
class Case:
    """Files, the first of them the log, and what is said about it; `before` was ingested earlier."""

    files: Mapping[str, Content]
    options: Mapping[str, Any] = field(default_factory=dict)
    before: Content | None = None


def log(content: Content, name: str = "log.jsonl", beside: Mapping[str, Content] | None = None, **options: Any) -> Case:
    """A log, files beside it, and options."""
    return Case({name: content, **(beside or {})}, options)


def after(before: Content, content: Content) -> Case:
    """A log that comes after another one."""
    return Case({"log.jsonl": content}, {}, before)


def folder(*boxes: str, names: str = "{}.txt", beside: Mapping[str, Content] | None = None, **options: Any) -> Case:
    """A folder `labels` with one line a file."""
    files = {f"labels/{names.format(k)}": f"{line}\n" for k, line in enumerate(boxes)}
    return Case({"labels": "", **files, **(beside or {})}, {**SIZED, **options})


def table(*rows: str, head: str = HEAD, **options: Any) -> Case:
    """A CSV with a header."""
    return log("\n".join([head, *rows, ""]), "log.csv", **{"model": "m", **options})


def coco(*results: tuple[Any, int], **options: Any) -> Case:
    """COCO results: image and category."""
    found = [{"image_id": image, "category_id": kind, "bbox": [1, 2, 30, 40], "score": 0.5} for image, kind in results]
    return log(json.dumps(found), "log.json", **{**START, **options})


def written(folder: Path, files: Mapping[str, Content]) -> Path:
    """The files in the folder; the path of the first."""
    for name, content in files.items():
        path = folder / name
        if name == "labels":
            path.mkdir(parents=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder / next(iter(files))


Begun = Callable[[Path, Content], Client]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Begun:
    """Gives a client in a new folder, whose store has this log; each such store is made once, then copied."""
    stores: dict[Content, Path] = {}

    def client(folder: Path, content: Content) -> Client:
        if content not in stores:
            stores[content] = tmp_path_factory.mktemp("store")
            Client(stores[content] / "s.duckdb", now=NOW).ingest(written(stores[content], {"log.jsonl": content}))
        folder.mkdir()
        return Client(shutil.copy(stores[content] / "s.duckdb", folder), now=NOW)

    return client


def of_ingest(client: Client, folder: Path, case: Case) -> set[str]:
    """All codes that come of an ingest: of warnings, of rejected records, of the refusal."""
    done = client.ingest(written(folder, case.files), **case.options)
    return {
        *(warning.code for file in done.files for warning in file.warnings),
        *(row.code for row in client.list_quarantine()),
        *filter(None, (getattr(error, "code", None) for error in done.errors)),
    }


def of_reading(folder: Path, case: Case) -> set[str]:
    """The same of the reading alone, as an ingest does it."""
    path = written(folder, case.files)
    given = {
        name: folder / value if name in ("images", "categories") else value for name, value in case.options.items()
    }
    (source,) = folders.joined(resolve([str(path)]), given, {}, own_formats())
    try:
        taken = Taken(source, settings(given, {}, source).options)
    except DetmonError as error:
        return {str(getattr(error, "code", None))}
    return {*taken.codes, *(reject.code for reject in taken.rejects)}


# --- logs --------------------------------------------------------------------------------------------------------

KEYS = "class_id,class_name,confidence,x1,y1,x2,y2,image_id,timestamp"
AT = "2026-11-20T08:00:0{}Z"
ROW = f"a,{AT.format(0)},car,0.5,1,2,30,40"
OTHER = f"b,{AT.format(1)},car,0.6,5,6,30,40"
CORNERS = {f"{side}{k}": value for k, (x, y) in enumerate([(60, 10), (110, 50), (60, 90), (10, 50)], 1)
           for side, value in (("x", x), ("y", y))}  # fmt: skip
BATCHED = {**ROBOFLOW, "image": [{"width": 640, "height": 480}] * 2}
DATASET = {"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 1, "name": "car"}]}
TRUE_BOX = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40]}
OPEN_INFERENCE = {"model_name": "m", "outputs": []}
LONGEST = 16 << 20


def padded(length: int) -> bytes:
    """A good line of so many bytes, the newline not counted."""
    bare = json.dumps(record(99, tags={"note": ""})).encode()
    return bare.replace(b'"note": "', b'"note": "' + b"x" * (length - len(bare))) + b"\n"


def scored(low: float, *, day: int, n: int = 1000, label: str = "car", **fields: Any) -> bytes:
    """Images with ten boxes each, their scores from `low` on."""
    return lines(
        *(
            record(k, timestamp=f"2026-11-{day:02}T08:{k // 60:02}:{k % 60:02}Z", **fields,
                   detections=[{**BOX, "label": label, "confidence": round(low + (1 - low) * (j + k / 1000) / 10, 4),
                                "bbox": [j * 60, 10, 50, 60]} for j in range(10)])
            for k in range(n // 10)
        )
    )  # fmt: skip


def listing(first: int, last: int) -> Case:
    """The good log, beside a list of these images."""
    return log(GOOD, images="seen.txt", beside={"seen.txt": "".join(f"{k:06d}.jpg\n" for k in range(first, last + 1))})


def dataset(**of_box: Any) -> str:
    """A COCO dataset of one image and one object."""
    return json.dumps({**DATASET, "annotations": [{**TRUE_BOX, **of_box}]})


def parquet(**columns: Any) -> bytes:
    """A Parquet file."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), file := io.BytesIO())
    return file.getvalue()


GOOD = lines(*many(20))
LOGS: dict[str, tuple[Case, Case]] = {
    "bad_json": (log(GOOD + b'{"image_id": "a",\n' + GOOD), log(GOOD)),
    "truncated_line": (log(GOOD + lines(record(30))[:-20]), log(GOOD + lines(record(30))[:-1])),
    "line_too_long": (log(GOOD + padded(LONGEST + 1)), log(GOOD + padded(LONGEST))),
    "wrong_type": (log(GOOD + lines(record(30, detections={}))), log(GOOD)),
    "bad_time": (log(GOOD + lines(record(30, timestamp="2026-13-01T00:00:00Z"))),
                 log(GOOD + lines(record(30, timestamp="2026-11-01T00:00:00Z")))),
    "field_count": (table(ROW, OTHER, f"{ROW},1"), table(ROW, OTHER)),
    "clock_change": (log(lines(record(timestamp="2026-10-25T02:00:00")), tz="Europe/Madrid"),
                     log(lines(record(timestamp="2026-10-25T03:00:00")), tz="Europe/Madrid")),
    "id_conflict": (after(lines(record(prediction_id="p")), lines({**box(confidence=0.4), "prediction_id": "p"})),
                    after(lines(record(prediction_id="p")), lines(record(prediction_id="p")))),
    "floor_moved": (after(scored(0.1, day=3), scored(0.16, day=5)), after(scored(0.1, day=3), scored(0.15, day=5))),
    "label_map_changed": (
        after(scored(0.1, day=3), scored(0.1, day=5, n=690) + scored(0.1, day=6, n=310, label="van")),
        after(scored(0.1, day=3), scored(0.1, day=5, n=700) + scored(0.1, day=6, n=300, label="van"))),
    "group_disagrees": (table(f"{ROW},1", f"{ROW},2", head=f"{HEAD},latency_ms"),
                        table(f"{ROW},1", f"{ROW},1", head=f"{HEAD},latency_ms")),
    "two_names": (table(f"0,car,0.5,1,2,3,4,a,{AT.format(0)}", f"0,van,0.5,1,2,3,4,b,{AT.format(1)}", head=KEYS),
                  table(f"0,car,0.5,1,2,3,4,a,{AT.format(0)}", f"1,van,0.5,1,2,3,4,b,{AT.format(1)}", head=KEYS)),
    "twin_boxes": (log(lines(*many(37), record(50, detections=[BOX, {**BOX, "label": "van"}]))),
                   log(lines(*many(38), record(50, detections=[BOX, {**BOX, "label": "van"}])))),
    "gaps_in_ids": (coco(*((k, 1) for k in range(1, 101) if k not in (7, 8))),
                    coco(*((k, 1) for k in range(1, 101) if k != 7))),
    "image_not_listed": (listing(2, 20),
                         listing(1, 20)),
    "ids_do_not_match": (listing(1, 9),
                         listing(1, 10)),
    "stem_collision": (folder("0 .5 .5 .1 .1 .9", images="seen.txt", beside={"seen.txt": "x/0.jpg\ny/0.jpg\n"}),
                       folder("0 .5 .5 .1 .1 .9", images="seen.txt", beside={"seen.txt": "x/0.jpg\ny/1.jpg\n"})),
    "option_contradicted": (log(lines(*many(20), box(confidence=29), box(confidence=51)), score_scale="probability"),
                            log(GOOD, score_scale="probability")),
    "best_of_track": (log(lines(EVENT), model="m"), log(lines({**EVENT, "type": "update"}), model="m")),
    "false_positive": (log(lines({**EVENT, "after": {**EVENT["after"], "false_positive": True}}), model="m"),
                       log(lines(EVENT), model="m")),
    "background_label": (log(lines({**TORCHVISION, "labels": [0]})), log(lines({**TORCHVISION, "labels": [1]}))),
    "lengths_differ": (log(lines(*[TORCHVISION] * 3, {**TORCHVISION, "scores": []})), log(lines(*[TORCHVISION] * 3))),
    "rotated_box": (log(lines({**ULTRALYTICS, "results": [{**ULTRALYTICS["results"][0], "box": CORNERS}]})),
                    log(lines(ULTRALYTICS))),
    "batched_response": (log(lines(BATCHED)), log(lines(ROBOFLOW))),
    "sixth_field": (folder("0 .5 .5 .1 .1 .9", "0 .5 .5 .1 .1 7"), folder("0 .5 .5 .1 .1 .9", "0 .5 .5 .1 .1 1")),
    "several_videos": (folder("0 .5 .5 .1 .1 .9", beside={"labels/a_1.txt": "", "labels/b_1.txt": "0 .5 .5 .1 .1 .9"},
                              names="a_{}.txt", fps=25),
                       folder("0 .5 .5 .1 .1 .9", beside={"labels/a_1.txt": ""}, names="a_{}.txt", fps=25)),
    "outlines": (folder("0 .1 .1 .2 .2 .3 .1 .9", "0 .1 .1 .2 .2 .3 .1 .9"),
                 folder("0 .1 .1 .2 .2 .3 7", "0 .1 .1 .2 .2 .3 8")),
    "one_file_a_class": (log("".join(f"img_{k} 0.5 1 2 30 40\n" for k in range(4)), "a.txt", **START),
                         log("car1 0.5 1 2 30 40\n" * 4, "a.txt", **START)),
    "one_file_an_image": (log("car 0.5 1 2 30 40\n", "a.txt", **START),
                          log("car 0.5 1 2 30 40\n", "a.txt", **START, box_format="xyxy",
                              map={"image_id": "@stem", "label": "#1", "confidence": "#2", "bbox": "#3,#4,#5,#6"})),
    "no_image_size": (folder("0 .5 .5 .1 .1 .9", image_size=None), folder("0 .5 .5 .1 .1 .9")),
    "category_base": (coco(*((k, k) for k in (1, 2, 3)), categories="names.txt"),
                      coco(*((k, k) for k in (0, 1, 2)), categories="names.txt")),
    "two_columns": (table(f"{ROW},0.5", head=f"{HEAD},score"),
                    table(f"{ROW},0.5", head=f"{HEAD},score",
                          map={"confidence": "score"})),
    "box_corner_or_centre": (table(ROW, head="image_id,timestamp,label,confidence,x,y,w,h"),
                             table(ROW, head="image_id,timestamp,label,confidence,x,y,w,h", box_format="xywh")),
    "no_header": (log(f"a,7,{AT.format(0)},1,2,30,40\n", "log.csv", model="m", log_format="flat"), table(ROW)),
    "no_scores": (table(f"a,{AT.format(0)},car,1,2,30,40", head="image_id,timestamp,label,x1,y1,x2,y2"), table(ROW)),
    "counts_only": (table("a,3", head="image_id,car_count"), table(ROW)),
    "semicolons": (log(f"{HEAD}\n{ROW}\n".replace(",", ";"), "log.csv"),
                   log(f"{HEAD}\n{ROW}\n".replace(",", "\t"), "log.csv", model="m")),
    "bare_results": (log(json.dumps([{**ULTRALYTICS["results"][0]}]), "log.json", model="m"), log(lines(ULTRALYTICS))),
    "ground_truth": (log(dataset(), "log.json", **START), log(dataset(score=0.5), "log.json", **START)),
    "not_supported": (log(lines(OPEN_INFERENCE)), log(lines({**OPEN_INFERENCE, **FIRST}))),
    "ambiguous_format": (log(lines({**FIRST, **TORCHVISION})),
                         log(lines({**FIRST, **TORCHVISION}), log_format="detmon")),
    "unknown_format": (log("a letter to a friend\n", "log.txt"), log(GOOD)),
    "unreadable": (log(gzip.compress(GOOD * 50)[:-30], "log.gz"), log(gzip.compress(GOOD), "log.gz")),
    "empty_file": (log("\n \n"), log(GOOD)),
}  # fmt: skip
for pair in LOGS["category_base"]:
    pair.files["names.txt"] = "car\nvan\nbus\n"  # type: ignore[index]


@pytest.mark.parametrize("code", LOGS)
def test_a_log_that_triggers_it_and_one_that_just_does_not(begun: Begun, tmp_path: Path, code: str) -> None:
    for name, case in zip(("bad", "good"), LOGS[code], strict=True):
        place = tmp_path / name
        found = of_reading(place, case) if case.before is None else of_ingest(begun(place, case.before), place, case)
        assert (code in found) == (name == "bad"), found
        assert found <= set(emitted(*ROOMS["ingest"]))


class Broken:
    """A reader with a mistake in it."""

    denominator = "known"

    def sniff(self, head: bytes, path: str) -> str | None:
        return "always"

    def read(self, source: Any, options: Options) -> Iterator[Any]:
        return iter([]) if source.head == b"good" else iter([1 / 0])


def test_reader_failed(tmp_path: Path) -> None:
    for content, code in ((b"bad", "reader_failed"), (b"good", None)):
        path = written(tmp_path, {"log": content})
        found = None
        try:
            list(formats.open_source(Source("log", path), Options(), now=NOW, readers={"b": [Broken()]}).parts())
        except DetmonError as error:
            found = getattr(error, "code", None)
        assert found == code


def test_a_line_too_long_through_a_pipe(detmon: Shell) -> None:
    done = detmon("ingest", "-", "--json", stdin=GOOD + padded(LONGEST) + padded(3 * LONGEST) + GOOD)
    assert (done.json["predictions"], done.json["duplicates"], done.json["rejected"]) == (21, 20, 1)
    (row,) = detmon("quarantine", "list", "--json").json
    assert (row["file"], row["line"], row["code"], len(row["raw"])) == ("-", 22, "line_too_long", 2000)


# --- verdicts ----------------------------------------------------------------------------------------------------

TWO = [BOX, {**BOX, "label": "van"}]
JUDGED = lines(record(1, prediction_id="P1", detections=TWO), record(2, prediction_id="P2", detections=[]))
HEADER = "prediction_id,detection_index,feedback_type,true_label,bbox,scope,timestamp,reviewer\n"


def verdicts(*rows: str, head: str = HEADER) -> Content:
    """A CSV of verdicts, cells that are missing at the end empty."""
    width = head.count(",")
    return head + "".join(row + "," * (width - re.sub('"[^"]*"', "", row).count(",")) + "\n" for row in rows)


VERDICTS: dict[str, tuple[Content, Content]] = {
    "missing_field": (verdicts("P1,0,"), verdicts("P1,0,correct")),
    "unknown_type": (verdicts("P1,0,good"), verdicts("P1,0,correct")),
    "unknown_scope": (verdicts("P1,0,correct,,,whole"), verdicts("P1,0,correct,,,exhaustive")),
    "no_such_detection": (verdicts("P1,2,correct"), verdicts("P1,1,correct")),
    "label_not_wrong": (verdicts("P1,0,wrong_label,car"), verdicts("P1,0,wrong_label,van")),
    "missed_has_detection": (verdicts("P1,0,missed_object,car"), verdicts("P1,,missed_object,car")),
    "bad_text": (verdicts(f"P1,0,wrong_label,{'x' * 513}"), verdicts(f"P1,0,wrong_label,{'x' * 512}")),
    "bad_box": (verdicts('P1,0,wrong_box,,"[1,2,3]"'), verdicts('P1,0,wrong_box,,"[1,2,3,4]"')),
    "bad_time": (verdicts("P1,0,correct,,,,2026-13-01"), verdicts("P1,0,correct,,,,2026-11-01T00:00:00Z")),
    "time_range": (verdicts("P1,0,correct,,,,1999-12-31T23:59:59Z"), verdicts("P1,0,correct,,,,2000-01-01T00:00:00Z")),
    "field_count": (verdicts("P1,0,correct") + "P1,0,correct\n", verdicts("P1,0,correct")),
    "no_zone": (verdicts("P1,0,correct,,,,2026-11-01T00:00:00"), verdicts("P1,0,correct,,,,2026-11-01T00:00:00Z")),
    "scope_conflict": (verdicts("P1,0,correct,,,exhaustive,,a", "P1,1,correct,,,,,a"),
                       verdicts("P1,0,correct,,,exhaustive,,a", "P1,1,correct,,,,,b")),
    "whole_image": (verdicts("P1,,correct"), verdicts("P2,,correct")),
    "unknown_field": (verdicts("P1,correct,x", head="prediction_id,type,revewer\n"),
                      verdicts("P1,correct,x", head="prediction_id,type,reviewer\n")),
    "two_columns": (verdicts("P1,correct,correct", head="prediction_id,type,feedback_type\n"),
                    verdicts("P1,correct", head="prediction_id,feedback_type\n")),
    "no_header": (verdicts("P1,correct", head="id,type\n"), verdicts("P1,correct", head="prediction_id,type\n")),
    "bad_json": ('[{"prediction_id": "P1", "type": "correct"}, 7]', '[{"prediction_id": "P1", "type": "correct"}]'),
    "unreadable": ("[1, 2", '[{"prediction_id": "P1", "type": "correct", "detection_index": 0}]'),
}  # fmt: skip


def of_verdicts(client: Client, folder: Path, content: Content) -> set[str]:
    """All codes that come of a file of verdicts."""
    try:
        done = client.import_feedback(written(folder, {"f.csv": content}))
    except DetmonError as error:
        return {str(getattr(error, "code", None))}
    return {*(one.code for one in done.rejections), *(one.code for one in done.warnings)}


@pytest.mark.parametrize("code", VERDICTS)
def test_verdicts(begun: Begun, tmp_path: Path, code: str) -> None:
    for name, content in zip(("bad", "good"), VERDICTS[code], strict=True):
        found = of_verdicts(begun(tmp_path / name, JUDGED), tmp_path / name, content)
        assert (code in found) == (name == "bad"), found
        assert found <= set(emitted(*ROOMS["verdicts"]))


# --- ground truth ------------------------------------------------------------------------------------------------


def truth(*boxes: dict[str, Any], images: Iterable[str] = ("a.jpg", "b.jpg"), **fields: Any) -> str:
    """A COCO dataset."""
    listed = [{"id": k, "file_name": name} for k, name in enumerate(images, 1)]
    kinds = [{"id": 1, "name": "car"}, {"id": 2, "name": "van"}]
    return json.dumps({"images": listed, "categories": kinds, "annotations": [{**TRUE_BOX, **box} for box in boxes]})


def cvat(shape: str, before: str = "") -> str:
    """CVAT's XML of one image."""
    return f'{before}<annotations><image id="0" name="a.jpg">{shape}</image></annotations>'


CVAT_BOX = '<box label="car" xtl="1" ytl="2" xbr="31" ybr="42"/>'
MOT = "1,-1,1,2,30,40,1,-1,-1,-1\n"
TRUTHS: dict[str, tuple[Case, Case]] = {
    "no_common_images": (log(truth({}, images=["c.jpg"])), log(truth({}))),
    "no_common_labels": (log(truth({"category_id": 2})), log(truth({}))),
    "no_prediction": (log(truth({}, images=["a.jpg", "b.jpg", "c.jpg"])), log(truth({}))),
    "no_truth": (log(truth({}, images=["a.jpg"])), log(truth({}))),
    "labels_of_truth": (log(truth({}, {"category_id": 2})), log(truth({}))),
    "labels_of_log": (Case({"gt.json": truth({})}, {}, lines(record(image_id="a.jpg", detections=TWO))),
                      log(truth({}))),
    "same_image_id": (log(truth({}, images=["a.jpg", "x/a.jpg", "b.jpg"]), image_id="name"),
                      log(truth({}, images=["a.jpg", "x/c.jpg", "b.jpg"]), image_id="name")),
    "box_empty": (log(truth({}, {"bbox": [1, 2, 0, 4]})), log(truth({}, {"bbox": [1, 2, 0.1, 4]}))),
    "no_such_image": (log(truth({}, {"image_id": 3})), log(truth({}, {"image_id": 2}))),
    "no_such_category": (log(truth({}, {"category_id": 3})), log(truth({}, {"category_id": 2}))),
    "has_scores": (log(truth({"score": 0.5})), log(truth({"score": 0.5}, {}))),
    "region_type": (log(cvat(CVAT_BOX + '<points label="car" points="1,2"/>')), log(cvat(CVAT_BOX))),
    "xml_doctype": (log(cvat(CVAT_BOX, "<!DOCTYPE annotations>")), log(cvat(CVAT_BOX))),
    "bad_line": (Case({"gt.txt": MOT + "1,2\n"}, {"label": "car"}, lines(record(image_id="000001"), record(2))),
                 Case({"gt.txt": MOT}, {"label": "car"}, lines(record(image_id="000001"), record(2)))),
    "no_image_size": (Case({"labels": "", "labels/a.txt": "0 .5 .5 .1 .1", "data.yaml": "names: [car]"}, {},
                           lines(record(image_id="a", image_width=None))),
                      Case({"labels": "", "labels/a.txt": "0 .5 .5 .1 .1", "data.yaml": "names: [car]"}, {},
                           lines(record(image_id="a")))),
    "unknown_format": (log("a letter"), log(truth({}))),
    "unreadable": (log(truth({})[:-1]), log(truth({}))),
}  # fmt: skip
SEEN = lines(record(image_id="a.jpg"), record(1, image_id="b.jpg"))


def of_truth(client: Client, folder: Path, case: Case) -> set[str]:
    """All codes that come of matching with ground truth."""
    (folder / "gt").mkdir()
    path = written(folder / "gt", case.files)
    try:
        done = client.match_feedback(path.parent if path.is_dir() else path, "veh@3", **case.options)
    except DetmonError as error:
        return {str(getattr(error, "code", None))}
    return {one.code for one in done.warnings}


@pytest.mark.parametrize("code", TRUTHS)
def test_ground_truth(begun: Begun, tmp_path: Path, code: str) -> None:
    for name, case in zip(("bad", "good"), TRUTHS[code], strict=True):
        found = of_truth(begun(tmp_path / name, case.before or SEEN), tmp_path / name, case)
        assert (code in found) == (name == "bad"), found
        assert found <= set(emitted(*ROOMS["truth"]))


# --- all of them -------------------------------------------------------------------------------------------------

CODE = re.compile(r"[a-z]+(_[a-z]+)*")
PLACES = {"Seen": 0, "Warned": 0, "VerdictWarning": 0, "Finding": 0, "warn": 0, "Unusable": 1, "Reject": 2}
"""Calls, and which of their arguments is a code."""
OF_TRUTH = ["evaluation.py", "formats/truth.py", "feedback/truth.py"]
ROOMS: dict[str, tuple[list[str], list[str]]] = {
    "ingest": (["formats", "ingest"], OF_TRUTH),
    "verdicts": (["feedback", "store/sql/stage_feedback.sql", "store/sql/resolve_feedback.sql"], OF_TRUTH),
    "truth": (OF_TRUTH, []),
}


def emitted(rooms: Iterable[str], without: Iterable[str] = ()) -> dict[str, str]:
    """The codes in the source of some rooms, and where each is."""
    found: dict[str, str] = {}
    left_out = [ROOT / "detmon" / name for name in without]
    for room in (ROOT / "detmon" / name for name in rooms):
        for file in sorted(room.rglob("*.py")) if room.is_dir() else [room]:
            if file not in left_out:
                text = file.read_text("utf-8")
                codes = re.findall(r"code: '(\w+)'", text) if file.suffix == ".sql" else _codes(ast.parse(text))
                found.update(dict.fromkeys(codes, str(file.relative_to(ROOT))))
    return found


def _codes(tree: ast.Module) -> set[str]:
    """What stands where a code is expected: arguments called so or in their place, values of a name `code`, faults."""
    constants = {
        target.id: statement.value
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    nodes = [node for found in ast.walk(tree) for node in _in_place(found)]
    nodes = [constants.get(node.id, node) if isinstance(node, ast.Name) else node for node in nodes]
    parts = [part for node in nodes for part in ((node.body, node.orelse) if isinstance(node, ast.IfExp) else [node])]
    values = [part.value for part in parts if isinstance(part, ast.Constant)]
    return {value for value in values if isinstance(value, str) and CODE.fullmatch(value)}


def _in_place(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        place = 2 if name == "add" and len(node.args) >= 4 else PLACES.get(name)
        yield from (keyword.value for keyword in node.keywords if keyword.arg == "code")
        yield from node.args[place : place + 1] if place is not None else ()
    elif isinstance(node, ast.Assign):
        yield from (value for target in node.targets for value in _of_code(target, node.value))
        yield from (target.slice.elts[0] for target in node.targets if isinstance(target, ast.Subscript)
                    and isinstance(target.slice, ast.Tuple) and len(target.slice.elts) == 2)  # fmt: skip
    elif isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple):
        yield from (value for one in node.iter.elts for value in _of_code(node.target, one))
    elif isinstance(node, ast.Tuple) and len(node.elts) in (2, 3) and _is_sentence(node.elts[-1]):
        yield node.elts[-2]  # the code and the reason of a fault, behind its field


def _of_code(target: ast.expr, value: ast.expr) -> list[ast.expr]:
    """What of a value the name `code` is bound to."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = list(zip(target.elts, value.elts, strict=False))
    else:
        pairs = [(target, value)]
    return [part for name, part in pairs if isinstance(name, ast.Name) and name.id == "code"]


def _is_sentence(node: ast.expr) -> bool:
    constant = isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value
    return constant or isinstance(node, ast.JoinedStr)


def test_no_code_is_without_its_pair() -> None:
    tables = {code for code, _, good, *_ in QUARANTINED if good not in (None, b"{}\n")}
    tables |= {code for code, *_ in warned_logs()} | {code for code, *_ in REFUSED}
    claimed = {"ingest": {*LOGS, *tables, "reader_failed"}, "verdicts": {*VERDICTS}, "truth": {*TRUTHS}}
    for door, rooms in ROOMS.items():
        found = emitted(*rooms)
        assert {code: place for code, place in found.items() if code not in claimed[door]} == {}
        assert claimed[door] <= found.keys()
