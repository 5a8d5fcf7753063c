"""The data engine, items and datasets, through the front door."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import Shell

from detmon import Client
from detmon.data_engine.conditions import digits
from detmon.stats.buckets import bucket
from detmon.store import connect, statement

START = datetime(2026, 3, 2)
SEED = {
    "low_confidence": {"enabled": True, "threshold": 0.6, "sample_rate": 0.3},
    "edge_cases": {"enabled": True, "conditions": ["no_detections", "high_density", "unusual_size"]},
    "random_sample": {"enabled": True, "rate": 0.05},
}


def image(
    number: int,
    boxes: Sequence[tuple[Any, ...]] = (),
    *,
    model: str = "m",
    source: str = "cam-1",
    at: timedelta | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """A log record; `boxes` are (label, confidence[, x, y, w, h])."""
    moment = START + (timedelta(minutes=number) if at is None else at)
    return {
        "prediction_id": f"{model}-{number}",
        "model_id": model,
        "timestamp": moment.isoformat() + "Z",
        "image_id": f"{number}.jpg",
        "source": source,
        "image_width": 1000,
        "image_height": 1000,
        "detections": [
            {"label": label, "confidence": confidence, "bbox": list(box) or [100, 100, 200, 200]}
            for label, confidence, *box in boxes
        ],
        **fields,
    }


def ingest(detmon: Shell, records: Sequence[dict[str, Any]], name: str = "log.jsonl") -> None:
    path = detmon.folder / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    detmon("-q", "ingest", path)


def engine_file(folder: Path, **tables: Any) -> Path:
    """An engine file of tables given as mappings."""

    def value(item: Any) -> str:
        if isinstance(item, dict):
            return "{ " + ", ".join(f"{key} = {value(one)}" for key, one in item.items()) + " }"
        return json.dumps(item)

    path = folder / "engine.toml"
    path.write_text("".join(f"{key} = {value(table)}\n" for key, table in tables.items()), "utf-8")
    return path


def configure(detmon: Shell, model: str = "m", dataset: str = "review", **tables: Any) -> Any:
    detmon("dataset", "create", dataset)
    file = engine_file(detmon.folder, **tables)
    return detmon("engine", "configure", "--model", model, "--dataset", dataset, "--file", file, "--json").json


def run(detmon: Shell, *options: object) -> Any:
    return detmon("engine", "run", "--json", *options).json


def items(detmon: Shell, dataset: str = "review", *options: object) -> dict[str, dict[str, Any]]:
    rows = detmon("item", "list", "--dataset", dataset, "--limit", 100_000, "--json", *options).json
    return {row["prediction_id"]: row for row in rows}


def mixed(n: int, model: str = "m") -> list[dict[str, Any]]:
    """Images of which a third are low in confidence, a tenth empty."""
    boxes = [[("car", 0.4 if number % 3 == 0 else 0.9)] if number % 10 else [] for number in range(n)]
    return [image(number, found, model=model) for number, found in enumerate(boxes)]


# --- the seed's calls ----------------------------------------------------------------------------------------------


def test_the_calls_of_python_users(detmon: Shell) -> None:
    ingest(detmon, mixed(600))
    client = Client()
    dataset = client.create_dataset(name="review")
    assert dataset.id.startswith("ds_")
    assert len(dataset.id) == 15
    client.configure_data_engine(model_id="m", config=SEED, target_dataset_id=dataset.id)
    done = client.run_data_engine(model_id="m")
    assert (done.scanned, done.already_flagged) == (600, 0)
    assert done["by_reason"]["no_detections"] == 60
    flagged = client.get_flagged_items(dataset_id=dataset.id, status="needs_review", limit=100)
    assert len(flagged) == 100
    assert flagged[0].timestamp.tzinfo is not None
    every = client.get_flagged_items(dataset_id=dataset.id, status="needs_review", limit=1000)
    assert len(every) == done.flagged
    for item in every:
        u, low = bucket("detmon", item.prediction_id), item.detections and item.detections[0]["confidence"] < 0.6
        pi = 0.3 if low else 0.05 if item.detections else 1.0
        assert (item.inclusion_probability, u < pi) == (pi, True)
        assert ("random_sample" in item.reasons) == (u < 0.05)
        text = f"{dataset.id}:{item.prediction_id}"
        assert item.item_id == "it_" + hashlib.sha256(text.encode()).hexdigest()[:12]
    chosen = {item.prediction_id for item in every}
    assert {f"m-{n}" for n in range(600) if n % 10 and n % 3 == 0 and bucket("detmon", f"m-{n}") < 0.3} <= chosen


def test_a_run_repeats_without_effect(detmon: Shell) -> None:
    ingest(detmon, mixed(300))
    configure(detmon, **SEED)
    first = run(detmon)
    before = items(detmon)
    nothing = {"scanned": 0, "flagged": 0, "already_flagged": 0, "by_reason": {}, "engines": [], "warnings": []}
    assert run(detmon) == nothing
    again = run(detmon, "--period", "2026-03-02:2026-03-02")
    assert (again["scanned"], again["flagged"], again["already_flagged"]) == (300, 0, first["flagged"])
    assert items(detmon) == before
    ingest(detmon, [image(number) for number in range(300, 320)], "more.jsonl")
    assert run(detmon)["scanned"] == 20


def test_raising_a_rate_only_adds(detmon: Shell) -> None:
    ingest(detmon, mixed(400))
    configure(detmon, random_sample={"rate": 0.05})
    run(detmon)
    before = items(detmon)
    raised = configure(detmon, random_sample={"rate": 0.2})
    assert raised["revision"] == 2
    assert run(detmon)["scanned"] == 0
    run(detmon, "--period", "2026-03-01/2026-03-09")
    after = items(detmon)
    assert before.keys() < after.keys()
    assert {item["inclusion_probability"] for item in after.values()} == {0.2}
    lowered = configure(detmon, random_sample={"rate": 0.01})
    assert lowered["revision"] == 3
    run(detmon, "--period", "2026-03-01/2026-03-09")
    assert items(detmon) == after


def test_the_same_configuration_again_changes_nothing(detmon: Shell) -> None:
    ingest(detmon, mixed(50))
    first = configure(detmon, **SEED)
    run(detmon)
    assert configure(detmon, **SEED)["revision"] == first["revision"] == 1
    config = {**SEED, "random_sample": {"enabled": True, "rate": 0.06}}
    assert configure(detmon, **config)["revision"] == 2


def test_the_same_items_on_every_machine(detmon: Shell) -> None:
    ingest(detmon, mixed(100))
    configure(detmon, random_sample={"rate": 0.05}, salt="golden")
    run(detmon)
    assert sorted(items(detmon)) == ["m-49", "m-55", "m-63", "m-7", "m-86", "m-91"]


def test_buckets_are_those_of_the_vectors(vectors: Callable[[str], Any]) -> None:
    cases = [case for case in vectors("statistics.json")["cases"] if case["kind"] == "detmon_bucket"]
    assert len(cases) == 9
    with connect() as con:
        for case in cases:
            salt, unit = case["input"]["salt"], case["input"]["unit"]
            in_sql = f"SELECT {statement('bucket')} FROM (SELECT $unit AS prediction_id)"
            assert con.execute(in_sql, {"salt": salt, "unit": unit}).fetchone() == (case["expected"],)
            assert bucket(salt, unit) == case["expected"]


@pytest.mark.parametrize("rate", [0.0, 2.0**-52, 0.001, 0.05, 0.3, 1 / 3, 0.5, 1 - 2.0**-52, 1.0])
def test_digits_of_hashes_are_compared_as_buckets_are(rate: float) -> None:
    for unit in range(2000):
        hashed = hashlib.sha256(f"detmon:{unit}".encode()).hexdigest()
        assert (hashed < digits(rate)) == (bucket("detmon", str(unit)) < rate)


# --- conditions ----------------------------------------------------------------------------------------------------

APART = [("car", 0.9, 90 * n, 0, 50, 50) for n in range(10)]
TOUCHING = [*APART[:9], ("car", 0.9, 10, 0, 50, 50)]


@pytest.mark.parametrize(
    ("tables", "on", "off"),
    [
        ({"low_confidence": {"threshold": 0.6}}, [("car", 0.599999)], [("car", 0.6)]),
        ({"low_confidence": {"threshold": 0.29}}, [("car", 0.9), ("car", 0.2899)], [("car", 0.29)]),
        ({"edge_cases": {"conditions": ["no_detections"]}}, [], [("car", 0.1)]),
        ({"edge_cases": {"conditions": ["high_density"]}}, TOUCHING, APART),
        ({"edge_cases": {"conditions": ["high_density"], "min_detections": 2}}, TOUCHING[8:] + APART[:1], APART[:2]),
        ({"edge_cases": {"conditions": ["unusual_size"]}}, [("car", 0.9, 0, 0, 900, 900)], [("car", 0.9)]),
        ({"edge_cases": {"conditions": ["unusual_size"]}}, [("car", 0.9, 0, 0, 20, 20)], [("car", 0.9, 0, 0, 24, 24)]),
        (
            {"edge_cases": {"conditions": ["unusual_size"], "min_area": 0.01, "max_area": 0.2}},
            [("car", 0.9), ("car", 0.9, 0, 0, 90, 90)],
            [("car", 0.9, 0, 0, 100, 100), ("car", 0.9, 0, 0, 400, 500)],
        ),
    ],
    ids=["low", "millionths", "none", "dense", "few dense", "large", "small", "own sizes"],
)
def test_a_condition(detmon: Shell, tables: Any, on: Any, off: Any) -> None:
    failed = {"status": "error"}
    ingest(detmon, [image(0, on), image(1, off), image(2, on, **failed)])
    configure(detmon, **tables)
    done = run(detmon)
    (strategy,) = tables
    (reason,) = tables[strategy].get("conditions", [strategy])
    assert (done["scanned"], done["by_reason"]) == (2, {reason: 1})
    assert items(detmon)["m-0"]["reasons"] == [reason]


def test_rare_and_new_classes_are_those_of_the_time_of_configuration(detmon: Shell) -> None:
    ingest(detmon, [image(n, [("car", 0.9)]) for n in range(198)] + [image(198, [("tram", 0.9)])])
    shown = configure(detmon, rare_classes={"share": 0.01, "rate": 1.0}, new_classes={"rate": 1.0})
    assert shown["taken"]["classes"] == {"car": 198, "tram": 1}
    assert shown["taken"]["rare_classes"] == ["tram"]
    ingest(detmon, [image(300, [("car", 0.9), ("boat", 0.9)]), image(301, [("tram", 0.9)])], "later.jsonl")
    assert run(detmon)["by_reason"] == {"new_classes": 1, "rare_classes": 2}
    assert items(detmon)["m-300"]["reasons"] == ["new_classes"]
    assert configure(detmon, rare_classes={"share": 0.01}, new_classes={})["revision"] == 1


def test_usual_sizes_are_quantiles_of_the_log(detmon: Shell) -> None:
    sides = [200 + n % 100 for n in range(1200)]
    ingest(detmon, [image(n, [("car", 0.9, 0, 0, side, side)]) for n, side in enumerate(sides)])
    taken = configure(detmon, edge_cases={"conditions": ["unusual_size"]})["taken"]
    assert taken["min_area"] == pytest.approx(0.2**2, rel=0.05)
    assert taken["max_area"] == pytest.approx(0.299**2, rel=0.05)


def test_an_engine_before_any_row_takes_from_the_first(detmon: Shell) -> None:
    detmon("model", "register", "m")
    shown = configure(detmon, new_classes={"rate": 1.0})
    assert (shown["taken"], shown["revision"]) == (None, 1)
    assert run(detmon)["scanned"] == 0
    ingest(detmon, [image(n, [("car", 0.9)]) for n in range(5)])
    assert (run(detmon)["scanned"], items(detmon)) == (5, {})
    (shown,) = detmon("engine", "show", "--json").json
    assert (list(shown["taken"]["classes"]), shown["revision"]) == (["car"], 2)
    ingest(detmon, [image(9, [("boat", 0.9)])], "later.jsonl")
    assert list(run(detmon)["by_reason"]) == ["new_classes"]


def test_retake_takes_anew(detmon: Shell) -> None:
    ingest(detmon, [image(0, [("car", 0.9)])])
    configure(detmon, new_classes={})
    ingest(detmon, [image(1, [("boat", 0.9)])], "later.jsonl")
    file = engine_file(detmon.folder, new_classes={})
    again = ("engine", "configure", "--model", "m", "--dataset", "review", "--file", file, "--json")
    assert detmon(*again).json["revision"] == 1
    assert detmon(*again, "--retake").json["taken"]["classes"] == {"boat": 1, "car": 1}


# --- configuration -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[low_confidense]", "unknown key 'low_confidense'\nhint: did you mean 'low_confidence'"),
        (
            "low_confidence = { treshold = 0.5 }",
            "low_confidence: unknown key 'treshold'\nhint: did you mean 'threshold'",
        ),
        ("low_confidence = { threshold = 60 }", "low_confidence: threshold must be a number from 0 to 1, not 60"),
        ("low_confidence = { threshold = true }", "threshold must be a number from 0 to 1"),
        ("random_sample = { enabled = 1 }", "enabled must be true or false, not 1"),
        ("random_sample = 0.05", "random_sample must be a table"),
        ('edge_cases = { conditions = ["no_detection"] }', "'no_detection' is none (no_detections?)"),
        ("edge_cases = { min_detections = 0 }", "min_detections must be a whole number above 0"),
        ("edge_cases = { min_area = 0.5, max_area = 0.1 }", "min_area is above max_area"),
        ("random_sample = { rate = nan }", "rate must be a number from 0 to 1"),
        ('salt = "a:b"\n[random_sample]', "a salt must not hold ':'"),
        ("random_sample = { enabled = false }", "no strategy is enabled"),
        ("disagreement = { rate = 0.5 }", "disagreement needs other_model"),
        ('disagreement = { other_model = "m" }', "m cannot disagree with itself"),
        ('disagreement = { other_model = "mm" }', "unknown model 'mm'\nhint: did you mean 'm'"),
        ('budget = { gap = "10 parsecs" }\n[random_sample]', "gap must be a duration such as 10s"),
        ("budget = { per_day = 0 }\n[random_sample]", "per_day must be a whole number above 0"),
        ("dataset = 5\n[random_sample]", "dataset must be text, not 5"),
        ("not toml", "is not TOML"),
    ],
)
def test_what_an_engine_cannot_be_told(detmon: Shell, text: str, says: str) -> None:
    ingest(detmon, [image(0)])
    detmon("dataset", "create", "review")
    (detmon.folder / "engine.toml").write_text(text, "utf-8")
    failed = detmon("engine", "configure", "--model", "m", "--dataset", "review", "--file", "engine.toml", code=2)
    assert says in failed.err
    assert detmon("engine", "show").err == "note: no engines yet\n"


def test_the_configuration_file_says_it(detmon: Shell) -> None:
    ingest(detmon, [image(0), image(1, [("car", 0.9)])])
    failed = detmon("engine", "configure", "--model", "m", code=2)
    assert "[models.'m'.engine] says nothing" in failed.err
    (detmon.folder / "detmon.toml").write_text('[models.m.engine]\ndataset = "mine"\nedge_cases = {}\n', "utf-8")
    assert detmon("engine", "configure", "--model", "m", "--json").json["dataset"] == "mine"
    run(detmon)
    assert set(items(detmon, "mine")) == {"m-0"}
    (detmon.folder / "detmon.toml").write_text("[models.m.engine]\nedge_case = {}\n", "utf-8")
    assert "did you mean 'edge_cases'" in detmon("engine", "run", code=2).err


def test_every_key_of_an_engine_is_known_to_the_configuration() -> None:
    from detmon.config import KEYS
    from detmon.data_engine.settings import KEYS as OWN

    assert set(KEYS["models.*.engine"]) == set(OWN)


def test_another_salt_needs_another_dataset(detmon: Shell) -> None:
    ingest(detmon, [image(0)])
    configure(detmon, random_sample={}, salt="a")
    configure(detmon, random_sample={}, salt="b")
    run(detmon)
    file = engine_file(detmon.folder, random_sample={}, salt="c")
    failed = detmon("engine", "configure", "--model", "m", "--dataset", "review", "--file", file, code=2)
    assert "has selected with salt 'b'" in failed.err


def test_names_that_do_not_exist(detmon: Shell) -> None:
    assert "no store" in detmon("engine", "run", code=2).err
    ingest(detmon, [image(0)])
    assert "no engine yet" in detmon("engine", "run", code=2).err
    assert "no dataset yet" in detmon("item", "list", "--dataset", "x", code=2).err
    configure(detmon, random_sample={"rate": 1.0})
    assert "unknown model 'n'" in detmon("engine", "run", "--model", "n", code=2).err
    assert "did you mean 'review'" in detmon("item", "list", "--dataset", "revew", code=2).err
    assert "one of needs_review" in detmon("item", "list", "--dataset", "review", "--status", "x", code=2).err
    assert "unknown item 'it_1'" in detmon("item", "set", "it_1", "--status", "ignored", code=2).err
    assert "does not look like an id" in detmon("dataset", "create", "ds_0123456789ab", code=2).err
    assert "is empty" in detmon("engine", "run", "--period", "2026-01-02:2026-01-01", code=2).err
    file = engine_file(detmon.folder, random_sample={})
    failed = detmon("engine", "configure", "--model", "m", "--dataset", "revue", "--file", file, code=2)
    assert "did you mean 'review'" in failed.err


# --- batches, engines, processes -----------------------------------------------------------------------------------


def test_two_engines_on_a_model(detmon: Shell) -> None:
    ingest(detmon, mixed(100))
    configure(detmon, random_sample={"rate": 0.5})
    configure(detmon, dataset="empty", edge_cases={"conditions": ["no_detections"]})
    done = run(detmon)
    assert (done["scanned"], len(done["engines"])) == (200, 2)
    both = items(detmon).keys() & items(detmon, "empty").keys()
    assert both
    ids = {items(detmon, name)[one]["item_id"] for name in ("review", "empty") for one in both}
    assert len(ids) == 2 * len(both)


def test_models_of_one_log_are_kept_apart(detmon: Shell) -> None:
    ingest(detmon, mixed(30) + mixed(30, "other"))
    configure(detmon, random_sample={"rate": 1.0})
    assert run(detmon)["scanned"] == 30
    assert {item["model_id"] for item in items(detmon).values()} == {"m"}


def test_late_rows_are_scanned_when_they_come(detmon: Shell) -> None:
    ingest(detmon, [image(n) for n in range(100, 110)])
    configure(detmon, random_sample={"rate": 1.0})
    run(detmon)
    ingest(detmon, [image(n) for n in range(50, 60)], "late.jsonl")
    assert run(detmon)["flagged"] == 10
    with duckdb.connect(str(detmon.folder / "detmon.duckdb"), read_only=True) as con:
        found = con.execute("SELECT revision, scanned, flagged, again FROM engine_scans ORDER BY batch_id").fetchall()
    assert found == [(1, 10, 10, False)] * 2


# --- items ---------------------------------------------------------------------------------------------------------


def test_items_carry_what_a_reviewer_needs(detmon: Shell) -> None:
    ingest(detmon, [image(0, [("car", 0.29, 1, 2.5, 30, 40)], image_uri="s3://images/0.jpg")])
    configure(detmon, random_sample={"rate": 1.0})
    run(detmon)
    (item,) = detmon("item", "list", "--dataset", "review", "--json").json
    assert item.pop("item_id").startswith("it_")
    assert item == {
        "prediction_id": "m-0",
        "image_id": "0.jpg",
        "image_uri": "s3://images/0.jpg",
        "model_id": "m",
        "timestamp": "2026-03-02T00:00:00Z",
        "source": "cam-1",
        "reasons": ["random_sample"],
        "inclusion_probability": 1.0,
        "status": "needs_review",
        "detections": [{"label": "car", "confidence": 0.29, "bbox": [1.0, 2.5, 30.0, 40.0]}],
    }


def test_an_item_can_be_ignored(detmon: Shell) -> None:
    ingest(detmon, mixed(3))
    configure(detmon, random_sample={"rate": 1.0})
    run(detmon)
    first = next(iter(items(detmon).values()))
    done = detmon("item", "set", first["item_id"], "--status", "ignored", "--json").json
    assert (done["status"], done["prediction_id"]) == ("ignored", first["prediction_id"])
    assert len(items(detmon, "review", "--status", "needs_review")) == 2
    assert detmon("status", "--json").json["items"] == {"needs_review": 2, "reviewed": 0, "ignored": 1}
    assert detmon("dataset", "list", "--json").json[0]["items"] == {"needs_review": 2, "reviewed": 0, "ignored": 1}
    run(detmon, "--period", "2026-03-02:2026-03-02")
    assert items(detmon)[first["prediction_id"]]["status"] == "ignored"


def test_items_added_by_hand_have_no_probability(detmon: Shell) -> None:
    ingest(detmon, mixed(20))
    detmon("dataset", "create", "review")
    failed = detmon("item", "add", "--dataset", "review", "m-1", "m-99", "nothing", code=2)
    assert "unknown prediction 'm-99, nothing'" in failed.err
    assert items(detmon) == {}
    added = detmon("item", "add", "--dataset", "review", "m-1", "m-2", "m-1", "--json").json
    assert {row["prediction_id"] for row in added} == {"m-1", "m-2"}
    detmon("item", "add", "--dataset", "review", "m-2", "m-3")
    found = items(detmon)
    assert {(one["inclusion_probability"], *one["reasons"]) for one in found.values()} == {(None, "by_hand")}
    configure(detmon, random_sample={"rate": 0.2}, salt="x")
    chosen = {f"m-{n}" for n in range(20) if bucket("x", f"m-{n}") < 0.2}
    done = run(detmon)
    assert done["flagged"] + done["already_flagged"] == len(chosen)
    for name, one in items(detmon).items():
        assert one["inclusion_probability"] == (0.2 if name in chosen else None)
        assert ("by_hand" in one["reasons"]) == (name in found)


def judge(detmon: Shell, prediction: str, *options: object, type_: str = "correct") -> None:
    detmon("feedback", "add", prediction, "--type", type_, *options)


def statuses(detmon: Shell) -> dict[str, str]:
    return {name: item["status"] for name, item in items(detmon).items()}


@pytest.mark.parametrize("review_first", [True, False])
def test_a_complete_review_makes_an_item_reviewed(detmon: Shell, review_first: bool) -> None:
    two = [("car", 0.9), ("bus", 0.5, 500, 500, 50, 50)]
    ingest(detmon, [image(n, two) for n in range(4)] + [image(4, [("car", 0.3)]), image(5), image(6, two)])
    configure(detmon, random_sample={"rate": 1.0})
    if not review_first:
        run(detmon)
    judge(detmon, "m-0", "--detection", 0)
    judge(detmon, "m-0", "--detection", 1)
    judge(detmon, "m-1", "--detection", 0)
    judge(detmon, "m-2", "--scope", "exhaustive", "--detection", 0)
    judge(detmon, "m-5")
    if review_first:
        run(detmon)
    reviewed = {name for name, status in statuses(detmon).items() if status == "reviewed"}
    assert reviewed == {"m-0", "m-2", "m-5"}  # of m-1 a box has no verdict
    assert detmon("status", "--json").json["items"] == {"needs_review": 4, "reviewed": 3, "ignored": 0}
    assert set(items(detmon, "review", "--status", "reviewed")) == reviewed
    judge(detmon, "m-1", "--detection", 1, type_="false_positive")
    assert statuses(detmon)["m-1"] == "reviewed"


def test_boxes_that_nobody_was_shown_need_no_verdict(detmon: Shell) -> None:
    """A log keeps boxes from 0.05 on, people see those from 0.5 on."""
    boxes = [("car", 0.9), ("car", 0.5, 500, 500, 50, 50), ("car", 0.1, 800, 0, 50, 50)]
    ingest(detmon, [image(n, boxes) for n in range(2)])
    configure(detmon, random_sample={"rate": 1.0})
    run(detmon)
    for box in (0, 1):
        judge(detmon, "m-0", "--detection", box)
    assert statuses(detmon) == {"m-0": "reviewed", "m-1": "needs_review"}


def test_a_status_set_by_hand_stays_until_a_newer_review(detmon: Shell) -> None:
    ingest(detmon, [image(0, [("car", 0.9)]), image(1, [("car", 0.9)])])
    configure(detmon, random_sample={"rate": 1.0})
    run(detmon)
    ids = {name: item["item_id"] for name, item in items(detmon).items()}
    judge(detmon, "m-0", "--detection", 0)
    detmon("item", "set", ids["m-0"], "--status", "needs_review")
    detmon("item", "set", ids["m-1"], "--status", "ignored")
    assert statuses(detmon) == {"m-0": "needs_review", "m-1": "ignored"}
    judge(detmon, "m-0", "--detection", 0, type_="false_positive")
    judge(detmon, "m-1", "--detection", 0)
    assert statuses(detmon) == {"m-0": "reviewed", "m-1": "ignored"}
