"""Logs into the store, through the front door."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic
from conftest import Shell
from logs import FIRST, lines

from detmon import Client
from detmon.store import Store, transaction
from detmon.store.rollups import merge_fragments, rollups_equal_raw

LINES = [
    {
        "model_id": "veh@3", "timestamp": "2026-11-20T08:00:00Z", "image_id": "000123.jpg", "source": "cam1",
        "image_width": 640, "image_height": 480, "latency_ms": 21.4, "confidence_floor": 0.25,
        "tags": {"site": "north"}, "detections": [{"label": "car", "confidence": 0.91, "bbox": [10, 20, 100, 60]}],
    },
    {"model_id": "veh@3", "timestamp": "2026-11-20T08:00:01Z", "image_id": "000124.jpg", "source": "cam1",
     "detections": []},
]  # fmt: skip
BAD = {"model_id": "veh@3", "timestamp": "2026-11-20T08:00:02Z", "detections": []}
NOW = ("--now", "2026-11-21T00:00:00Z")


def record(number: int = 0, **fields: Any) -> dict[str, Any]:
    """One canonical record, a second after the one before."""
    at = f"2026-11-20T08:{number // 60 % 60:02}:{number % 60:02}Z"
    return {"model_id": "m", "timestamp": at, "image_id": f"{number}.jpg", "detections": [], **fields}


def box(label: str = "car", confidence: float | None = 0.5, bbox: Sequence[float] | None = (1, 2, 30, 40)) -> Any:
    """One detection."""
    return {"label": label, "confidence": confidence, "bbox": bbox}


def jsonl(*records: Any) -> str:
    """Records as JSON Lines; text as it is."""
    return "".join((record if isinstance(record, str) else json.dumps(record)) + "\n" for record in records)


def query(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    """What the store in `folder` answers."""
    with Store(folder / "detmon.duckdb").reading() as con:
        return con.execute(sql).fetchall()


def proved(folder: Path) -> bool:
    """Whether the rollups of the store in `folder` equal its rows, and the manifest its counts."""
    with Store(folder / "detmon.duckdb").reading() as con:
        counts = con.execute(
            "SELECT (SELECT count(*) FROM predictions) = coalesce(sum(n_ok), 0), "
            "(SELECT count(*) FROM quarantine) = coalesce(sum(n_rejected), 0), "
            "coalesce(bool_and(n_read = n_ok + n_duplicate + n_rejected), true) FROM batches"
        ).fetchall()
        return rollups_equal_raw(con) and counts == [(True, True, True)]


def test_a_file_is_taken_once(detmon: Shell) -> None:
    (detmon.folder / "a.jsonl").write_text(jsonl(*LINES, BAD))
    first = detmon("ingest", "a.jsonl", "--json").json
    assert first == {
        "predictions": 2, "detections": 1, "duplicates": 0, "rejected": 1,
        "files": [{"path": "a.jsonl", "format": "detmon", "status": "taken", "predictions": 2, "detections": 1,
                   "duplicates": 0, "rejected": 1, "warnings": []}],
    }  # fmt: skip
    again = detmon("ingest", "a.jsonl", "--json").json
    assert (again["predictions"], again["duplicates"], again["files"][0]["status"]) == (0, 0, "seen")
    assert query(detmon.folder, "SELECT prediction_id FROM predictions ORDER BY ts LIMIT 1") == [
        ("ffac6637fe665d8c23800c258206a684",)
    ]
    assert [row["id"] for row in detmon("model", "list", "--json").json] == ["veh@3"]
    assert proved(detmon.folder)


def test_the_same_content_under_two_names(detmon: Shell) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (detmon.folder / name).write_text(jsonl(*LINES))
    done = detmon("ingest", "*.jsonl", "--json").json
    assert [file["status"] for file in done["files"]] == ["taken", "seen"]
    assert done["predictions"] == 2


def test_a_grown_file_adds_what_is_new(detmon: Shell) -> None:
    log = detmon.folder / "a.jsonl"
    log.write_text(jsonl(*LINES, BAD, *(record(n) for n in range(3))))
    detmon("ingest", "a.jsonl")
    with log.open("a") as file:
        file.write(jsonl(*(record(n) for n in range(3, 6)), "{"))
    done = detmon("ingest", "a.jsonl", "--json").json
    assert (done["predictions"], done["duplicates"], done["rejected"]) == (3, 6, 1)
    assert [row["line"] for row in detmon("quarantine", "list", "--json").json] == [3, 10]
    assert proved(detmon.folder)


def test_quarantine_list(detmon: Shell) -> None:
    detmon("ingest", "-", stdin=jsonl(LINES[0], BAD, record()))
    (row,) = detmon("quarantine", "list", "--json").json
    assert (row["file"], row["line"], row["field"], row["code"]) == ("-", 2, "image_id", "missing_field")
    assert json.loads(row["raw"]) == BAD
    assert "no `image_id`" in detmon("quarantine", "list").out
    assert detmon("quarantine", "list", "--file", "other", "--json").json == []


def test_refused_and_failed_files_leave_the_others_alone(detmon: Shell) -> None:
    (detmon.folder / "good.jsonl").write_text(jsonl(*LINES))
    (detmon.folder / "scores.jsonl").write_text(jsonl(*(record(n, detections=[box(confidence=91)]) for n in range(9))))
    ran = detmon("ingest", "scores.jsonl", "good.jsonl", "--json", code=2)
    assert [file["status"] for file in ran.json["files"]] == ["refused", "taken"]
    assert ran.json["predictions"] == 2
    assert "hint: --score-scale percent" in ran.err
    ran = detmon("ingest", "scores.jsonl", "missing.jsonl", "--json", code=4)
    assert [file["status"] for file in ran.json["files"]] == ["refused", "failed"]
    assert "cannot read missing.jsonl" in ran.err
    assert detmon("ingest", "scores.jsonl", "--score-scale", "percent", "--json").json["predictions"] == 9
    assert proved(detmon.folder)


CASES: dict[str, tuple[str, str, int]] = {
    "good": (jsonl(*LINES), "taken", 0),
    "warned": (jsonl({**LINES[0], "colour": "red"}), "taken", 0),
    "partly bad": (jsonl(*(record(n) for n in range(9)), BAD), "taken", 0),
    "empty": ("", "taken", 0),
    "curable": (jsonl({**LINES[0], "timestamp": "2026-11-20T08:00:00"}), "refused", 2),
    "incurable": ('[{"name": "car", "class": 2, "confidence": 0.9, "box": {}}]', "refused", 4),
    "damaged": ("PAR1 and nothing", "failed", 4),
}


@pytest.mark.parametrize(
    "names",
    [(name,) for name in CASES]
    + [
        ("good", "curable"),
        ("curable", "incurable"),
        ("curable", "good", "damaged"),
        ("partly bad", "empty", "warned"),
    ],
    ids=" and ".join,
)
def test_the_status_of_each_file_and_the_worst_of_the_exit_codes(detmon: Shell, names: tuple[str, ...]) -> None:
    for name in names:
        (detmon.folder / name).write_text(CASES[name][0])
    code = max(CASES[name][2] for name in names)
    for option in ((), ("--dry-run",)):
        files = detmon("ingest", *names, "--json", *option, code=code).json["files"]
        assert [file["status"] for file in files] == [CASES[name][1] for name in names]
        (detmon.folder / "detmon.duckdb").unlink(missing_ok=True)
    strict = max(4 if name == "partly bad" else CASES[name][2] for name in names)
    detmon("ingest", *names, "--bad-rows", "fail", code=strict)


def test_a_truncated_file_stores_nothing(detmon: Shell) -> None:
    (detmon.folder / "good.jsonl").write_text(jsonl(*LINES))
    packed = gzip.compress(jsonl(*(record(n, source=f"camera {n * 7919}") for n in range(3000))).encode())
    (detmon.folder / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    ran = detmon("ingest", "good.jsonl", "cut.jsonl.gz", "--json", code=4)
    assert [(file["status"], file["predictions"]) for file in ran.json["files"]] == [("taken", 2), ("failed", 0)]
    assert query(detmon.folder, "SELECT count(*) FROM predictions") == [(2,)]
    assert proved(detmon.folder)


def test_bad_rows_fail(detmon: Shell) -> None:
    (detmon.folder / "a.jsonl").write_text(jsonl(*(record(n) for n in range(50)), BAD))
    (detmon.folder / "b.jsonl").write_text(jsonl(*LINES))
    ran = detmon("ingest", "a.jsonl", "b.jsonl", "--bad-rows", "fail", "--json", code=4)
    assert [(file["status"], file["predictions"]) for file in ran.json["files"]] == [("refused", 0), ("taken", 2)]
    assert "a.jsonl:51: no `image_id`" in ran.err
    assert detmon("quarantine", "list", "--json").json == []


def test_a_conflict_is_a_bad_row(detmon: Shell) -> None:
    detmon("ingest", "-", stdin=jsonl(record(prediction_id="p")))
    (detmon.folder / "b.jsonl").write_text(jsonl(record(prediction_id="p", detections=[box()]), record(1)))
    ran = detmon("ingest", "b.jsonl", "--bad-rows", "fail", "--json", code=4)
    assert (ran.json["files"][0]["status"], ran.json["predictions"]) == ("refused", 0)
    assert "p was logged before" in ran.err
    assert query(detmon.folder, "SELECT count(*) FROM predictions") == [(1,)]


def test_duplicates_and_conflicts_within_a_batch(detmon: Shell) -> None:
    one, other = record(prediction_id="p", detections=[box()]), record(prediction_id="p", detections=[box(), box()])
    done = detmon("ingest", "-", "--json", stdin=jsonl(one, one, other, other, record(1)))
    totals = json.loads(done.out)
    assert (totals["predictions"], totals["duplicates"], totals["rejected"]) == (2, 1, 2)
    rows = detmon("quarantine", "list", "--json").json
    assert [(row["line"], row["code"]) for row in rows] == [(3, "id_conflict"), (4, "id_conflict")]
    assert json.loads(rows[0]["raw"])["n_detections"] == 2
    assert query(detmon.folder, "SELECT n_detections FROM predictions WHERE prediction_id = 'p'") == [(1,)]
    assert proved(detmon.folder)


def test_resent_records_across_batches(detmon: Shell) -> None:
    some = [record(n, detections=[box(confidence=n / 100)]) for n in range(40)]
    detmon("ingest", "-", stdin=jsonl(*some))
    changed = record(5, detections=[box()])
    done = json.loads(detmon("ingest", "-", "--json", stdin=jsonl(*some[10:], *[record(60)], changed)).out)
    assert (done["predictions"], done["duplicates"], done["rejected"]) == (1, 30, 1)
    assert proved(detmon.folder)


@pytest.mark.parametrize(("option", "stored"), [((), 2), (("--dedup", "full"), 1)])
def test_an_id_that_comes_back_much_later(detmon: Shell, option: tuple[str, ...], stored: int) -> None:
    early, late = record(prediction_id="p"), record(prediction_id="p", timestamp="2026-11-10T08:00:00Z")
    detmon("ingest", "-", stdin=jsonl(early))
    detmon("ingest", "-", *option, stdin=jsonl(late))
    assert query(detmon.folder, "SELECT count(*) FROM predictions") == [(stored,)]
    assert proved(detmon.folder)


def test_parquet_and_json_lines_give_the_same(detmon: Shell) -> None:
    synthetic.write_parquet(detmon.folder / "log.parquet", 3000)
    synthetic.write_jsonl(detmon.folder / "log.jsonl", 3000)
    stores = []
    for name in ("log.parquet", "log.jsonl"):
        detmon(*NOW, "--db", f"{name}.duckdb", "ingest", name)
        with Store(detmon.folder / f"{name}.duckdb").reading() as con:
            tables = ("predictions", "rollup_images", "rollup_histograms", "rollup_classes")
            stores.append([con.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall() for table in tables])
            assert rollups_equal_raw(con)
    assert stores[0] == stores[1]
    assert len(stores[0][0]) == 3000


def test_odd_records_are_summed_exactly(detmon: Shell) -> None:
    models = ["m", "n@1", "modèle"]
    records = [
        record(
            n * 97,
            model_id=models[n % 3],
            **({"source": f"c{n % 4}"} if n % 4 else {}),
            **({"image_width": 640, "image_height": 480} if n % 5 else {}),
            **({"latency_ms": n * 0.37} if n % 3 else {}),
            **({"status": "error"} if n % 11 == 0 else {}),
            detections=[
                box(
                    f"class {k % 5} ✓",
                    None if k == 3 else min(1, (2 * k + 1) / 128 + n / 1e4),
                    None if k == 4 else (1, 2, k + 1, 9),
                )
                for k in range(n % 70)
            ],
        )
        for n in range(280)
    ]
    ran = detmon(*NOW, "ingest", "-", "--json", stdin=jsonl(*records))
    assert json.loads(ran.out)["predictions"] == 280
    assert proved(detmon.folder)
    totals = query(detmon.folder, "SELECT sum(images), sum(errors), sum(n), sum(empty) FROM rollup_images")
    ok = [n for n in range(280) if n % 11]
    assert totals == [(280, 280 - len(ok), sum(n % 70 for n in ok), sum(n % 70 == 0 for n in ok))]


def test_the_prover_finds_a_wrong_cell(detmon: Shell) -> None:
    detmon("ingest", "-", stdin=jsonl(*LINES))
    with Store(detmon.folder / "detmon.duckdb").writing() as con:
        assert rollups_equal_raw(con)
        con.execute("UPDATE rollup_histograms SET bin = bin + 1 WHERE kind = 'confidence'")
        assert not rollups_equal_raw(con)


def test_fragments_are_merged(detmon: Shell) -> None:
    client = Client()
    for n in range(40):
        (detmon.folder / "a.jsonl").write_text(jsonl(record(n, detections=[box()])))
        client.ingest("a.jsonl", complete=n % 2 == 0)
    assert query(detmon.folder, "SELECT count(*) < 32, sum(images) FROM rollup_images") == [(True, 40)]
    assert proved(detmon.folder)


def test_merging_keeps_denominators_apart(detmon: Shell) -> None:
    rows = "image_id,timestamp,label,confidence,x1,y1,x2,y2\na,2026-11-20T08:00:00Z,car,0.9,1,2,30,40\n"
    (detmon.folder / "a.csv").write_text(rows)
    (detmon.folder / "b.jsonl").write_text(jsonl(record(1)))
    detmon("ingest", "a.csv", "b.jsonl", "--model", "m")
    with Store(detmon.folder / "detmon.duckdb").writing() as con, transaction(con):
        start, end = con.execute("SELECT min(ts), max(ts) FROM predictions").fetchall()[0]
        con.execute("UPDATE rollup_images SET images = images")
        merge_fragments(con, start, end, fragments=1)
    found = "SELECT denominator, images FROM rollup_images JOIN batches USING (batch_id) ORDER BY ALL"
    assert query(detmon.folder, found) == [("known", 1), ("unknown", 1)]
    assert proved(detmon.folder)


def test_the_same_file_of_another_model_or_source_is_another_log(detmon: Shell) -> None:
    (detmon.folder / "log.csv").write_text(
        "image_id,timestamp,label,confidence,x1,y1,x2,y2\na,2026-11-20T08:00:00Z,car,0.9,1,2,30,40\n"
    )

    def status(*said: str) -> tuple[str, int]:
        done = detmon("ingest", "log.csv", *said, "--json").json
        return done["files"][0]["status"], done["predictions"]

    assert status("--model", "a") == ("taken", 1)
    assert status("--model", "a") == ("seen", 0)
    assert detmon("ingest", "log.csv", "--model", "a", "--dry-run", "--json").json["files"][0]["status"] == "seen"
    assert status("--model", "b") == ("taken", 1)
    assert status("--model", "b", "--source", "cam1") == ("taken", 1)
    assert status("--model", "b", "--tz", "UTC") == ("seen", 0)
    assert {one["model_id"] for one in detmon("sql", "SELECT DISTINCT model_id FROM predictions", "--json").json} == {
        "a", "b"}  # fmt: skip


def test_the_same_records_under_another_model_are_duplicates(detmon: Shell) -> None:
    (detmon.folder / "log.jsonl").write_bytes(lines(FIRST))
    detmon("ingest", "log.jsonl")
    done = detmon("ingest", "log.jsonl", "--model", "other", "--json").json
    assert (done["predictions"], done["duplicates"]) == (0, 1)


def test_every_real_log(detmon: Shell, data: Path) -> None:
    logs = sorted(data.glob("*/*log.parquet"))
    ran = detmon("ingest", *logs, "--json", code=2)
    for log, file in zip(logs, ran.json["files"], strict=True):
        rows = pq.read_metadata(log).num_rows
        refused = log.name == "pointrcnn_log.parquet"
        assert file["status"] == ("refused" if refused else "taken")
        assert file["predictions"] + file["duplicates"] + file["rejected"] == (0 if refused else rows)
    assert "hint: --score-scale logit" in ran.err
    detmon("ingest", data / "kitti" / "pointrcnn_log.parquet", "--score-scale", "logit")
    assert proved(detmon.folder)


def test_times_out_of_order_are_stored_in_order(detmon: Shell) -> None:
    table = synthetic.batch(5000)
    order = pa.array([(n * 1237) % 5000 for n in range(5000)])
    pq.write_table(table.take(order), detmon.folder / "log.parquet")
    detmon(*NOW, "ingest", "log.parquet")
    times = [ts for (ts,) in query(detmon.folder, "SELECT ts FROM predictions ORDER BY rowid")]
    assert times == sorted(times)
    assert proved(detmon.folder)


def test_options_of_the_configuration(detmon: Shell) -> None:
    folder = detmon.folder / "site"
    (folder / "logs").mkdir(parents=True)
    (folder / "detmon.toml").write_text('ingest."logs/cam-*.jsonl" = { tz = "Europe/Madrid", model = "from-file" }\n')
    line = {"timestamp": "2026-07-20T08:00:00", "image_id": "1", "detections": []}
    for name in ("cam-1", "other"):
        (folder / "logs" / f"{name}.jsonl").write_text(jsonl({**line, "source": name}))
    ran = detmon("--config", "site/detmon.toml", *NOW, "ingest", "site/logs", "--model", "flag", "--json", code=2)
    assert [file["status"] for file in ran.json["files"]] == ["taken", "refused"]
    found = query(detmon.folder, "SELECT model_id, CAST(ts AS VARCHAR) FROM predictions")
    assert found == [("flag", "2026-07-20 06:00:00")]


def test_many_boxes_fill_a_batch(detmon: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detmon.ingest.BATCH_BOXES", 40)
    for n in range(6):
        (detmon.folder / f"{n}.jsonl").write_text(jsonl(record(n, detections=[box()] * 25)))
    detmon("ingest", *sorted(detmon.folder.glob("*.jsonl")))
    found = query(detmon.folder, "SELECT count(DISTINCT batch_id), sum(images) FROM rollup_images")
    assert found == [(3, 6)]  # two files a transaction, one partial cell each
    assert proved(detmon.folder)


def test_many_small_logs(detmon: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detmon.ingest.BATCH_LOGS", 7)
    monkeypatch.setattr("detmon.ingest.batches.LOOSE", 3)
    for n in range(20):
        bad = [BAD] if n == 11 else []
        (detmon.folder / f"{n:02}.jsonl").write_text(jsonl(record(n, detections=[box()] * (n % 3)), *bad))
    (detmon.folder / "04.jsonl").write_bytes(gzip.compress(jsonl(*map(record, range(100, 150))).encode())[:-20])
    ran = detmon("ingest", ".", "--json", code=4).json
    assert [file["status"] for file in ran["files"]] == ["taken"] * 4 + ["failed"] + ["taken"] * 15
    assert [file["predictions"] for file in ran["files"]] == [1] * 4 + [0] + [1] * 15
    assert [file["rejected"] for file in ran["files"]] == [int(n == 11) for n in range(20)]
    assert [file["detections"] for file in ran["files"]] == [0 if n == 4 else n % 3 for n in range(20)]
    stored = "SELECT path FROM batches JOIN predictions USING (batch_id) WHERE ts = ts_min"
    assert len(query(detmon.folder, stored + " AND predictions.n_detections = batches.n_detections")) == 19
    assert proved(detmon.folder)
    again = detmon("ingest", ".", "--json", code=4).json
    assert [file["status"] for file in again["files"]] == ["seen"] * 4 + ["failed"] + ["seen"] * 15


def test_dry_run_writes_nothing(detmon: Shell) -> None:
    (detmon.folder / "a.jsonl").write_text(jsonl(*LINES, BAD, {**record(), "time_stamp": 1}))
    ran = detmon("ingest", "a.jsonl", "--dry-run", "--json")
    (file,) = ran.json["files"]
    assert (file["format"], file["predictions"], file["rejected"], len(file["records"])) == ("detmon", 3, 1, 3)
    assert [warning["code"] for warning in file["warnings"]] == ["unknown_field"]
    assert not (detmon.folder / "detmon.duckdb").exists()
    assert "000123.jpg" in detmon("ingest", "a.jsonl", "--dry-run").out
    (detmon.folder / "b.jsonl").write_text(jsonl(*(record(n, detections=[box(confidence=91)]) for n in range(9))))
    detmon("ingest", "b.jsonl", "--dry-run", code=2)


def scored(model: str, low: float, n: int = 1200, day: int = 1, label: str = "car", **fields: Any) -> str:
    """A log with `n` boxes whose scores begin at `low`."""
    return jsonl(
        *(
            record(
                image_id=f"{day}-{k}",
                model_id=model,
                timestamp=f"2026-11-{day:02}T08:{k // 60:02}:{k % 60:02}Z",
                detections=[box(label, round(low + (1 - low) * j / 10, 3)) for j in range(10)],
                **fields,
            )
            for k in range(n // 10)
        )
    )


@pytest.mark.parametrize(
    ("second", "codes"),
    [
        (scored("m", 0.12, day=5), []),
        (scored("m", 0.3, day=5), ["floor_moved"]),
        (scored("m", 0.3, 900, day=5), []),
        (scored("other", 0.3, day=5), []),
        (scored("m", 0.1, day=5, label="van"), ["label_map_changed"]),
        (scored("m", 0.1, 900, day=5, label="van"), []),
    ],
)
def test_a_log_unlike_its_models_history(detmon: Shell, second: str, codes: list[str]) -> None:
    detmon(*NOW, "ingest", "-", stdin=scored("m", 0.1))
    found = json.loads(detmon(*NOW, "ingest", "-", "--json", stdin=second).out)["files"][0]["warnings"]
    assert [warning["code"] for warning in found if warning["code"] != "fixed_count"] == codes


def test_a_floor_that_changed(detmon: Shell) -> None:
    detmon(*NOW, "ingest", "-", stdin=scored("m", 0.3, 10, confidence_floor=0.25))
    same = detmon(*NOW, "ingest", "-", stdin=scored("m", 0.3, 10, day=2, confidence_floor=0.25))
    moved = detmon(*NOW, "ingest", "-", stdin=scored("m", 0.3, 10, day=3, confidence_floor=0.1))
    assert "floor_moved" not in same.err
    assert "confidence_floor 0.1, before 0.25" in moved.err


def test_usage_errors(detmon: Shell) -> None:
    (detmon.folder / "a.jsonl").write_text(jsonl(*LINES))
    assert "one of probability, percent" in detmon("ingest", "a.jsonl", "--score-scale", "percnt", code=2).err
    assert "nothing matches" in detmon("ingest", "*.parquet", code=2).err
    assert "FIELD=COLUMN" in detmon("ingest", "a.jsonl", "--map", "image_id", code=2).err
    assert "unknown time zone" in detmon("ingest", "a.jsonl", "--tz", "Mars/Base", code=2).err
    assert "cannot be read" in detmon("ingest", "ftp://host/a.parquet", code=2).err
    assert "--follow takes one" in detmon("ingest", "a.jsonl", "-", "--follow", code=2).err
    with pytest.raises(Exception, match="unknown option of ingest 'modle'"):
        Client().ingest("a.jsonl", modle="m")
    assert not (detmon.folder / "detmon.duckdb").exists()


def test_a_damaged_pipe_is_called_by_its_name(detmon: Shell) -> None:
    failed = detmon("ingest", "-", stdin=b"PAR1" + b"x" * 100, code=4)
    assert "error: - is cut off or damaged" in failed.err
    assert ".spool" not in failed.err


def test_many_logs_alike_are_introduced_once_and_a_short_history_raises_no_alarm(detmon: Shell) -> None:
    row = '{"model_id":"m","timestamp":"2026-03-0%dT08:00:00Z","image_id":"%d","detections":[%s]}'
    box = '{"label":"%s","confidence":0.%d,"bbox":[1,2,3,4]}'
    Path("0.jsonl").write_text(row % (1, 0, box % ("car", 9)) + "\n")
    for day in (2, 3):
        boxes = ",".join(box % ("car" if n % 2 else "bus", n % 9 + 1) for n in range(600))
        Path(f"{day}.jsonl").write_text("".join(row % (day, n, boxes) + "\n" for n in range(2)))
    done = detmon("ingest", "0.jsonl", "2.jsonl", "3.jsonl")
    assert done.err.count("read as detmon") == 1
    assert "label_map_changed" not in done.err


def test_halves_of_a_millionth_are_rounded_alike_everywhere(detmon: Shell) -> None:
    scores = [k / 128 for k in range(1, 128)] + [0.1234565, 0.7654325]
    boxes = ",".join(f'{{"label":"car","confidence":{score!r},"bbox":[1,2,3,4]}}' for score in scores)
    line = f'{{"model_id":"m","timestamp":"2026-03-01T08:00:00Z","image_id":"a","detections":[{boxes}]}}'
    detmon("ingest", "-", stdin=line)
    with Store(Path("detmon.duckdb")).reading() as con:
        assert rollups_equal_raw(con)
        by_image = con.execute("SELECT sum(confidence_sum) FROM predictions").fetchall()[0][0]
        by_box = con.execute("SELECT sum(round(CAST(confidence AS DOUBLE) * 1e6)) FROM detections").fetchall()[0][0]
        assert round(by_image * 1e6) == by_box


def test_options_supply_what_records_lack(detmon: Shell) -> None:
    line = '{"timestamp":"2026-03-01 08:00:00","image_id":"a/b.jpg","detections":[{"label":"car","confidence":90}]}\n'
    Path("a.jsonl").write_text(line)
    said = ["--model", "m", "--source", "cam-9", "--tz", "Europe/Madrid", "--score-scale", "percent"]
    said += ["--image-id", "stem", "--confidence-floor", "0.25", "--dedup", "full", "--bad-rows", "fail", "--complete"]
    assert "cam-9" in detmon("ingest", "a.jsonl", *said, "--dry-run").out
    detmon("ingest", "a.jsonl", *said)
    with Store(Path("detmon.duckdb")).reading() as con:
        stored = con.execute("SELECT model_id, source, CAST(ts AS VARCHAR), image_id, confidence_sum FROM predictions")
        assert stored.fetchall() == [("m", "cam-9", "2026-03-01 07:00:00", "b", 0.9)]
