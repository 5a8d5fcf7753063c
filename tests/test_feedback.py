"""Verdicts: which of them count, how they come in, and what becomes of bad ones."""

from __future__ import annotations

import csv
import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic
from conftest import Shell
from stored import Row, at, store
from verdicts import Verdict, judge

from detmon.store import Store

BOXES = [("car", 0.9), ("person", 0.6), ("car", 0.3)]


def ask(folder: Path, query: str, **values: Any) -> list[tuple[Any, ...]]:
    with Store(folder / "detmon.duckdb").reading() as con:
        return con.execute(query, values).fetchall()


def test_the_newest_verdict_of_a_box_counts(tmp_path: Path) -> None:
    store(tmp_path, [Row(at(0), boxes=BOXES)])
    judge(
        tmp_path,
        [
            Verdict("p0", "false_positive", 0, ts=5),
            Verdict("p0", "correct", 0, ts=9),
            Verdict("p0", "wrong_box", 0, ts=7),
            Verdict("p0", "correct", 1, ts=5),
            Verdict("p0", "false_positive", 1, ts=5),  # of the same instant: the later row
        ],
    )
    found = ask(tmp_path, "SELECT detection_index, type, label FROM current_feedback ORDER BY 1")
    assert found == [(0, "correct", "car"), (1, "false_positive", "person")]


def test_missed_objects_add_up_until_the_next_complete_look(tmp_path: Path) -> None:
    store(tmp_path, [Row(at(0), boxes=BOXES)])
    missed = Verdict("p0", "missed_object", ts=1)
    judge(tmp_path, [missed, missed])
    assert ask(tmp_path, "SELECT missed, exhaustive FROM image_reviews") == [(2, False)]
    look = [Verdict("p0", "correct", 0, "exhaustive", ts=5, origin="match"), Verdict("p0", "wrong_box", 2, ts=2)]
    judge(tmp_path, look)
    assert ask(tmp_path, "SELECT missed, judged, lowest, exhaustive FROM image_reviews") == [
        (0, 2, 0.30000001192092896, True)
    ]
    judge(tmp_path, [Verdict("p0", "missed_object", scope="exhaustive", ts=7, origin="match")])
    counting = ask(tmp_path, "SELECT type, origin FROM current_feedback ORDER BY 1")
    assert counting == [("missed_object", "match"), ("wrong_box", "import")]


def test_each_reviewer_says_last_what_was_looked_at(tmp_path: Path) -> None:
    store(tmp_path, [Row(at(0), boxes=BOXES), Row(at(1))])
    judge(tmp_path, [Verdict("p0", index=0, reviewer="a", scope="exhaustive"), Verdict("p0", index=1), Verdict("p1")])
    looked_at = "SELECT prediction_id, judged, exhaustive FROM image_reviews ORDER BY 1"
    assert ask(tmp_path, looked_at) == [("p0", 2, True), ("p1", 0, False)]
    judge(tmp_path, [Verdict("p0", "missed_object", reviewer="a", ts=1)])
    assert ask(tmp_path, looked_at) == [("p0", 2, False), ("p1", 0, False)]


# --- one at a time, through the front door ---

LOG = """\
{"prediction_id":"P1","model_id":"m@1","timestamp":"2024-03-04T08:00:00Z","image_id":"a.jpg","detections":[\
{"label":"car","confidence":0.9,"bbox":[10,20,100,60]},{"label":"person","confidence":0.6,"bbox":[5,5,9,9],"detection_id":"d7"}]}
{"prediction_id":"P2","model_id":"m@1","timestamp":"2024-03-04T08:00:01Z","image_id":"b.jpg","detections":[]}
{"prediction_id":"P3","model_id":"m@1","timestamp":"2024-03-04T08:00:02Z","image_id":"c.jpg","detections":[\
{"label":"bus","confidence":0.4,"bbox":[1,2,3,4]}]}
"""
NOW = ("--now", "2024-03-05T00:00:00Z")


@pytest.fixture
def logged(detmon: Shell) -> Shell:
    (detmon.folder / "log.jsonl").write_text(LOG)
    detmon(*NOW, "ingest", "log.jsonl")
    return detmon


def rows(detmon: Shell, *args: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = detmon("feedback", "list", *args, "--json").json
    return found


def test_add_every_type(logged: Shell) -> None:
    given = [
        ("P1", "--type", "correct", "--detection", "0"),
        ("P1", "--type", "wrong_label", "--detection", "d7", "--label", "dog", "--reviewer", "ann"),
        ("P3", "--type", "wrong_box", "--bbox", "1,2,3.5,4"),
        ("P1", "--type", "false_positive", "--detection", "P1:1", "--reviewer", "bob"),
        ("P2", "--type", "missed_object", "--label", "car", "--bbox", "[1,2,3,4]", "--scope", "exhaustive"),
    ]
    for second, words in enumerate(given):
        detmon_now = f"2024-03-05T00:00:0{second}Z"
        assert logged("--now", detmon_now, "feedback", "add", *words).out.startswith("fb_")
    listed = rows(logged)
    assert [(row["prediction_id"], row["detection_index"], row["type"], row["current"]) for row in listed] == [
        ("P2", None, "missed_object", True),
        ("P1", 1, "false_positive", True),
        ("P3", 0, "wrong_box", True),
        ("P1", 1, "wrong_label", False),
        ("P1", 0, "correct", True),
    ]
    assert [row["disputed"] for row in listed] == [False, True, False, True, False]
    assert (listed[0]["bbox"], listed[0]["scope"]) == ([1, 2, 3, 4], "exhaustive")
    assert (listed[3]["label"], listed[3]["true_label"], listed[3]["confidence"]) == ("person", "dog", 0.6)
    assert len(rows(logged, "--type", "correct", "--model", "m")) == 1
    assert len(rows(logged, "--prediction", "P1", "--limit", "2")) == 2
    assert "wrong_label" in logged("feedback", "list").out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("P9 --type correct", "unknown prediction 'P9'"),
        ("a.jpg --type correct", "perhaps P1"),
        ("P1 --type wrong_lable --detection 0", "did you mean 'wrong_label'?"),
        ("P1 --type correct --detection 2", "no detection 2: the image has 2"),
        ("P1 --type correct --detection=-1", "no detection -1"),
        ("P1 --type correct --detection d8", "no detection d8"),
        ("P2 --type correct --detection 0", "the image has 0"),
        ("P1 --type missed_object --detection 0", "a missed object has no detection"),
        ("P1 --type wrong_label --detection 0 --label car", "the predicted label is car, too"),
        ("P1 --type wrong_box --detection 0 --bbox 1,2,3", "is not a box"),
        ("P1 --type wrong_box --detection 0 --bbox 1,2,0,4", "is not a box"),
        ("P1 --type wrong_box --detection 0 --bbox 1,2,inf,4", "is not a box"),
        ("P1 --type correct --scope all", "unknown scope 'all'"),
    ],
)
def test_add_refuses(logged: Shell, words: str, says: str) -> None:
    assert says in logged("feedback", "add", *words.split(), code=2).err
    assert rows(logged) == []


def test_python_has_the_same_door(logged: Shell) -> None:
    from detmon import Client

    client = Client(logged.folder / "detmon.duckdb", now="2024-03-05T00:00:00Z")
    added = client.add_feedback(prediction_id="P1", type="wrong_box", detection=1, bbox=[1, 2, 3, 4], label="person")
    assert (added.bbox, added["label"], added.current) == ([1, 2, 3, 4], "person", True)
    assert client.list_feedback() == [added]


# --- files ---


def imported(detmon: Shell, text: str | bytes, name: str = "f.csv") -> dict[str, Any]:
    """The answer of an import of a file with this content."""
    data = text.encode() if isinstance(text, str) else text
    (detmon.folder / name).write_bytes(data)
    answer: dict[str, Any] = detmon(*NOW, "feedback", "import", name, "--json").json
    return answer


def counts(answer: dict[str, Any]) -> tuple[int, int, int, int]:
    return answer["accepted"], answer["duplicates"], answer["waiting"], answer["rejected"]


HEADER = "prediction_id,detection_index,feedback_type,true_label,bbox,scope\n"


def test_the_same_file_twice_adds_nothing(logged: Shell) -> None:
    text = HEADER + "P1,0,correct,,,exhaustive\n" + "P1,,missed_object,car,,exhaustive\n" * 2
    assert counts(imported(logged, text)) == (3, 0, 0, 0)
    assert counts(imported(logged, text, "again.csv")) == (0, 3, 0, 0)
    assert counts(imported(logged, text + "P1,,missed_object,car,,exhaustive\n")) == (1, 3, 0, 0)
    found = logged("feedback", "import", "-", stdin=text.replace("\n", "\r\n"))
    assert "0 accepted, 3 duplicates" in found.out


def test_a_bad_row_is_rejected_alone(logged: Shell) -> None:
    bad = {
        "P1,2,correct,,,": "no_such_detection",
        "P1,x,correct,,,": "no_such_detection",
        "P2,0,false_positive,,,": "no_such_detection",
        "P1,0,missed_object,,,": "missed_has_detection",
        "P1,0,wrong_label,car,,": "label_not_wrong",
        "P1,0,good,,,": "unknown_type",
        "P1,0,,,,": "missing_field",
        ",0,correct,,,": "missing_field",
        'P1,0,wrong_box,,"[1,2,3]",': "bad_box",
        "P1,0,wrong_box,,nan nan nan nan,": "bad_box",
        "P1,0,correct,,,whole": "unknown_scope",
        "P1,0,wrong_label,a\x1b[31m,,": "bad_text",
        "P1,0,wrong_label,a\x9b31m,,": "bad_text",
        f"P1,0,wrong_label,{'x' * 513},,": "bad_text",
        "P1,0,correct": "field_count",
    }
    for text in (HEADER + "\n".join([*bad, "P1,0,correct,,,"]), HEADER + "P1,0,correct,,,\n" + "\n".join(bad) + "\n\n"):
        answer = imported(logged, text)
        assert answer["rejected"] == len(bad)
        lines = text.split("\n")
        for row in answer["rejections"]:
            assert row["code"] == bad[lines[row["line"] - 1]], row
    assert counts(answer)[:2] == (0, 1)
    kept = logged("quarantine", "list", "--file", "f.csv", "--json").json
    assert {(row["line"], row["code"]) for row in kept} >= {(row["line"], row["code"]) for row in answer["rejections"]}
    assert "f.csv:3: no detection 2: the image has 2" in logged("feedback", "import", "f.csv").err


def test_corrections_and_times(logged: Shell) -> None:
    text = (
        "prediction_id,detection_index,type,timestamp,reviewer\n"
        "P1,0,correct,2024-03-04T12:00:00Z,a\nP1,0,false_positive,2024-03-04T11:00:00+00:00,b\n"
        "P1,1,correct,2024-03-04T12:00:00,a\nP1,1,wrong_box,1709553600,b\nP1,1,false_positive,2024-13-01,b\n"
        "P1,1,false_positive,1970-01-01T00:00:00Z,b\n"
    )
    answer = imported(logged, text)
    assert counts(answer) == (4, 0, 0, 2)
    assert {row["code"] for row in answer["rejections"]} == {"bad_time", "time_range"}
    assert [warning["code"] for warning in answer["warnings"]] == ["no_zone"]
    assert {(row["detection_index"], row["type"]) for row in rows(logged) if row["current"]} == {
        (0, "correct"),
        (1, "wrong_box"),
    }


def test_ids_of_the_users_own(logged: Shell) -> None:
    text = "prediction_id,feedback_type,detection_index,feedback_id\nP1,correct,0,a\nP1,correct,1,a\nP1,correct,1,b\n"
    assert counts(imported(logged, text)) == (2, 1, 0, 0)
    assert counts(imported(logged, "prediction_id,feedback_type,feedback_id\nP3,correct,a\n")) == (0, 1, 0, 0)


def test_warnings(logged: Shell) -> None:
    answer = imported(
        logged, "prediction_id,feedback_type,revewer,reviewer,scope\nP3,correct,x,a,exhaustive\nP3,correct,,a,\n"
    )
    assert [(one["code"], one["count"]) for one in answer["warnings"]] == [("unknown_field", 1), ("scope_conflict", 1)]
    assert "did you mean `reviewer`?" in answer["warnings"][0]["message"]
    later = imported(logged, "prediction_id,feedback_type,reviewer,scope\nP3,false_positive,a,\n", "g.csv")
    assert [one["code"] for one in later["warnings"]] == ["scope_conflict"]


def test_a_verdict_on_a_whole_image_judges_no_box(logged: Shell) -> None:
    assert "judges none of them: --detection N" in logged("feedback", "add", "P1", "--type", "correct").err
    answer = imported(logged, HEADER + "P1,,false_positive,,,\nP2,,correct,,,\nP3,,correct,,,\n")
    assert [(one["code"], one["count"]) for one in answer["warnings"]] == [("whole_image", 1)]
    assert ask(logged.folder, "SELECT prediction_id, judged FROM image_reviews ORDER BY 1") == [
        *(("P1", 0), ("P2", 0), ("P3", 1)),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", "no column `prediction_id`"),
        ("prediction_id\nP1\n", "no column `feedback_type`"),
        ("prediction_id,type,feedback_type\nP1,correct,correct\n", "two columns give `feedback_type`"),
        ("", "no column `prediction_id`"),
        ("[1, 2", "cut off or no JSON"),
        (b"PAR1 and nothing", "cut off or damaged"),
    ],
)
def test_files_that_are_none(logged: Shell, text: str | bytes, says: str) -> None:
    (logged.folder / "f").write_bytes(text if isinstance(text, bytes) else text.encode())
    failed = logged("feedback", "import", "f", code=None)
    assert failed.code in (2, 4)
    assert says in failed.err


FIELDS = ("prediction_id", "detection_index", "feedback_type", "true_label", "bbox", "reviewer")
TOLD = [
    ("P1", 0, "wrong_label", 'tr"uck, "big"', [1, 2, 3, 4.5], "Zoë"),
    ("P1", 1, "correct", None, None, "a b"),
    ("P3", None, "false_positive", None, None, None),
    ("P2", None, "missed_object", "person; or not", [1, 2, 3, 4], "李"),
]


def _number(record: dict[str, Any]) -> float:
    place = record["detection_index"]
    return math.nan if place is None else float(place)


def written_as(kind: str, folder: Path) -> Path:
    """The rows of TOLD in a file of that kind."""
    records = [dict(zip(FIELDS, row, strict=True)) for row in TOLD]
    path = folder / f"told.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    elif kind == "pandas":  # whole numbers with gaps as fractions, boxes as structs, repeated texts once
        table = pa.Table.from_pylist(records)
        boxes = [box and dict(zip("xywh", box, strict=True)) for box in table["bbox"].to_pylist()]
        table = table.set_column(1, "detection_index", table["detection_index"].cast(pa.float64()))
        table = table.set_column(2, "feedback_type", table["feedback_type"].dictionary_encode())
        pq.write_table(table.set_column(4, "bbox", pa.array(boxes)), path)
    elif kind == "blank":  # nothing is an empty text
        texts = [{name: "" if cell is None else str(cell) for name, cell in record.items()} for record in records]
        pq.write_table(pa.Table.from_pylist(texts), path)
    elif kind == "nan":
        path.write_text("\n".join(json.dumps({**one, "detection_index": _number(one)}) for one in records))
    elif kind in ("jsonl", "gz"):
        text = "\n".join(json.dumps(record) for record in records).encode()
        path.write_bytes(gzip.compress(text) if kind == "gz" else text)
    elif kind == "lines":
        path.write_text("\n\n".join(json.dumps(record, ensure_ascii=False) for record in records) + "\nnull\n")
    elif kind == "array":
        path.write_text(json.dumps(records, indent=1))
    else:
        encoding, mark = {"csv": ("utf-8", ","), "excel": ("utf-8-sig", ";"), "wide": ("utf-16", "\t")}[kind]
        with path.open("w", encoding=encoding, newline="") as file:
            writer = csv.writer(file, delimiter=mark, lineterminator="\r\n" if kind == "excel" else "\n")
            writer.writerows([FIELDS, *(["" if cell is None else cell for cell in row] for row in TOLD)])
    return path


@pytest.mark.parametrize(
    "kind", ["csv", "excel", "wide", "jsonl", "lines", "array", "gz", "parquet", "pandas", "blank", "nan"]
)
def test_the_same_rows_in_every_dialect(logged: Shell, kind: str) -> None:
    first = logged(*NOW, "feedback", "import", written_as("csv", logged.folder), "--json").json
    assert counts(first) == (4, 0, 0, 0)
    again = logged(*NOW, "feedback", "import", written_as(kind, logged.folder), "--json").json
    assert counts(again) == (0, 4, 0, int(kind == "lines"))
    told = {(row["prediction_id"], row["detection_index"], row["type"], row["true_label"]) for row in rows(logged)}
    assert told == {(*row[:1], row[1] if row[0] != "P3" else 0, *row[2:4]) for row in TOLD}


def test_fields_that_come_late_in_a_file(logged: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detmon.feedback.reading.SAMPLE", 1)
    first, second = '{"prediction_id": "P1", "type": "correct", "detection_index": 0}', '{"prediction_id": "P2", '
    second += '"type": "missed_object", "true_label": "car", "bbox": {"x": 1, "y": 2, "w": 3, "h": 4}}'
    assert counts(imported(logged, first + "\n" + second)) == (2, 0, 0, 0)
    found = rows(logged, "--type", "missed_object")[0]
    assert (found["true_label"], found["bbox"]) == ("car", [1, 2, 3, 4])
    assert counts(imported(logged, "\n\n" + HEADER + "P1,1,correct,,,\n")) == (1, 0, 0, 0)


def test_text_that_is_none(logged: Shell) -> None:
    data = HEADER.encode() + b"P1,0,wrong_label,caf\xe9,,\nP1,1,correct,,,\n"
    answer = imported(logged, data)
    assert (counts(answer), answer["rejections"][0]["code"]) == ((1, 0, 0, 1), "bad_text")


# --- verdicts that come first ---


def test_feedback_waits_for_its_prediction(detmon: Shell) -> None:
    detmon("model", "register", "m", "--version", "1")
    text = (
        HEADER + "P1,1,correct,,,\nP1,d7,wrong_label,dog,,\nP1,5,correct,,,\nP3,,wrong_label,bus,,\nP8,0,correct,,,\n"
    )
    assert counts(imported(detmon, text)) == (0, 0, 5, 0)
    assert ask(detmon.folder, "SELECT count(*) FROM current_feedback") == [(0,)]
    assert [row["detection"] for row in rows(detmon, "--waiting") if row["prediction_id"] == "P8"] == ["0"]
    (detmon.folder / "log.jsonl").write_text(LOG)
    told = detmon(*NOW, "ingest", "log.jsonl").err
    assert "2 verdicts had waited for these predictions" in told
    assert "2 verdicts contradict their prediction" in told
    assert {(row["prediction_id"], row["detection_index"], row["type"], row["label"]) for row in rows(detmon)} == {
        ("P1", 1, "correct", "person"),
        ("P1", 1, "wrong_label", "person"),
        ("P8", None, "correct", None),
    }
    late = detmon("quarantine", "list", "--file", "feedback", "--json").json
    assert {row["code"] for row in late} == {"no_such_detection", "label_not_wrong"}
    assert counts(imported(detmon, text)) == (0, 3, 0, 2)


def test_a_prediction_that_is_stored_twice_answers_once(logged: Shell) -> None:
    (logged.folder / "later.jsonl").write_text(LOG.replace("2024-03-04", "2024-02-01"))
    logged(*NOW, "ingest", "later.jsonl")
    assert ask(logged.folder, "SELECT count(*) FROM predictions WHERE prediction_id = 'P1'") == [(2,)]
    assert counts(imported(logged, HEADER + "P1,0,correct,,,\n")) == (1, 0, 0, 0)


# --- many, and in spite of what happens ---


def many(folder: Path, n: int) -> Path:
    """A log of n images, ingested, and a verdict on each of its boxes."""
    from detmon import Client

    synthetic.write_parquet(folder / "log.parquet", n)
    Client(folder / "detmon.duckdb").ingest(folder / "log.parquet")
    path = folder / "verdicts.csv"
    with Store(folder / "detmon.duckdb").reading() as con:
        con.execute(
            "COPY (SELECT prediction_id, detection_index, 'correct' AS feedback_type, 'a ' || label AS true_label "
            f"FROM detections) TO '{path}' (HEADER)"
        )
    return path


def check_many(detmon: Shell, images: int) -> None:
    path = many(detmon.folder, images)
    n = ask(detmon.folder, "SELECT count(*) FROM detections")[0][0]
    assert counts(detmon("feedback", "import", path, "--json").json) == (n, 0, 0, 0)
    assert counts(detmon("feedback", "import", path, "--json").json) == (0, n, 0, 0)
    assert ask(detmon.folder, "SELECT count(*) FROM current_feedback WHERE label = substr(true_label, 3)") == [(n,)]


def test_twenty_thousand_verdicts(detmon: Shell) -> None:
    check_many(detmon, 3_500)


@pytest.mark.slow
def test_a_million_verdicts(detmon: Shell) -> None:
    check_many(detmon, 175_000)


@pytest.mark.parametrize("failpoint", ["feedback.staged", "feedback.written"])
def test_a_killed_import_loses_nothing(logged: Shell, failpoint: str) -> None:
    (logged.folder / "f.csv").write_text(HEADER + "P1,0,correct,,,\nP2,,correct,,,\nP1,9,correct,,,\n")
    done = logged.process("feedback", "import", "f.csv", env={"DETMON_FAILPOINT": failpoint})
    assert done.returncode == -9
    assert rows(logged) == []
    assert counts(logged("feedback", "import", "f.csv", "--json").json) == (2, 0, 0, 1)


def test_the_camera_traps(detmon: Shell, data: Path) -> None:
    folder = data / "cameratrap"
    detmon("ingest", folder / "model_v0_log.parquet", folder / "model_v1_log.parquet")
    for version, n in (("v0", 1148), ("v1", 1114)):
        path = folder / f"feedback_{version}.parquet"
        assert counts(detmon("feedback", "import", path, "--json").json) == (n, 0, 0, 0)
        assert counts(detmon("feedback", "import", path, "--json").json) == (0, n, 0, 0)
    right = ask(detmon.folder, "SELECT model_id, count(*) FROM current_feedback WHERE type = 'correct' GROUP BY 1")
    assert dict(right) == {"trap-v0": 900, "trap-v1": 902}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "array"])
def test_damaged_files_raise_no_fault(logged: Shell, kind: str) -> None:
    whole = written_as(kind, logged.folder).read_bytes()
    rng = np.random.default_rng(7)
    for number in range(12):
        data = bytearray(whole[: rng.integers(1, len(whole))] if number % 2 else whole)
        for place in rng.integers(0, len(data), 4).tolist():
            data[place] = rng.integers(0, 256)
        (logged.folder / "damaged").write_bytes(bytes(data))
        done = logged("feedback", "import", "damaged", code=None)
        assert done.code in (0, 2, 4)
        assert "fault of detmon" not in done.err, (bytes(data), done.err)
