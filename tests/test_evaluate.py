"""A candidate's log against the labels of a version: the figures, and when nobody should go by them."""

from __future__ import annotations

import contextlib
import io
import json
import random
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from conftest import Shell
from reviewed_world import CAR, create, line, reviewed, said

from detmon import Client

LABELS = ("car", "bus", "person")


def box(chance: random.Random) -> list[float]:
    return [chance.uniform(0, 500), chance.uniform(0, 350), chance.uniform(20, 120), chance.uniform(20, 100)]


def near(chance: random.Random, bbox: Iterable[float]) -> list[float]:
    return [side + chance.uniform(-9, 9) for side in bbox]


class World:
    """Labels of `n` images, of which 10 are for validation, as a version `v1`; and what a model said of them."""

    def __init__(self, detmon: Shell, n: int = 40, seed: int = 3) -> None:
        chance = random.Random(seed)
        self.detmon = detmon
        self.names = [f"cam{k % 4}/{k:03d}.jpg" for k in range(n)]
        self.truth = {
            name: [(chance.choice(LABELS), box(chance)) for _ in range(k % 4)] for k, name in enumerate(self.names)
        }
        self.said = {
            name: [
                (chance.choice((label, label, label, "car")), round(chance.uniform(0.05, 1), 6), near(chance, bbox))
                for label, bbox in (*objects, (chance.choice(LABELS), box(chance)))
                if chance.random() < 0.9
            ]
            for name, objects in self.truth.items()
        }
        for split, names in (("train", self.names[10:]), ("val", self.names[:10])):
            (detmon.folder / f"{split}.json").write_text(json.dumps(self.coco(names)))
        detmon("dataset", "create", "gt")
        detmon("version", "create", "gt", "--name", "v1", "--from", "train.json", "--from", "val.json")

    def coco(self, names: Iterable[str]) -> dict[str, Any]:
        """Ground truth as a COCO file."""
        images, annotations = [], []
        for k, name in enumerate(names, 1):
            images.append({"id": k, "file_name": name, "width": 640, "height": 480})
            for label, bbox in self.truth[name]:
                annotations.append(
                    {
                        "id": len(annotations) + 1, "image_id": k, "category_id": LABELS.index(label) + 1,
                        "bbox": [round(side, 3) for side in bbox], "iscrowd": 0, "area": bbox[2] * bbox[3],
                    }
                )  # fmt: skip
        categories = [{"id": k, "name": label} for k, label in enumerate(LABELS, 1)]
        return {"images": images, "annotations": annotations, "categories": categories}

    def records(self, names: Iterable[str] | None = None, **more: Any) -> list[dict[str, Any]]:
        """What the model said, as a log."""
        return [
            {
                "model_id": "cand", "timestamp": f"2026-11-20T08:00:{k % 60:02d}Z", "image_id": name,
                "image_width": 640, "image_height": 480,
                "detections": [
                    {"label": label, "confidence": score, "bbox": bbox} for label, score, bbox in self.said[name]
                ],
                **more,
            }
            for k, name in enumerate(names or self.names)
        ]  # fmt: skip

    def log(self, records: Iterable[Mapping[str, Any]], name: str = "cand.jsonl") -> str:
        (self.detmon.folder / name).write_text("".join(json.dumps(one) + "\n" for one in records))
        return name

    def quality(self, records: Iterable[Mapping[str, Any]], *args: object, code: int = 0) -> Any:
        """`ground_truth` of `quality show`."""
        done = self.detmon(
            "-q", "quality", "show", "--version", "v1", "--log", self.log(records), *args, "--json", code=code
        )
        return done.json["ground_truth"]

    def gate(self, code: int = 0, model: str = "cand", **check: Any) -> Any:
        """The only check of a gate; its keys besides log and version are `check`."""
        said = {
            "check": "evaluate",
            "version": "v1",
            "log": "cand.jsonl",
            "metric": "map50",
            "operator": "ge",
            "threshold": 0,
        }
        written = ", ".join(f"{key} = {json.dumps(value)}" for key, value in {**said, **check}.items())
        text = f'[gate.g]\nmodel = "{model}"\nchecks = [{{ {written} }}]\n'
        extra = self.detmon.folder / "extra.toml"
        (self.detmon.folder / "detmon.toml").write_text(text + (extra.read_text() if extra.exists() else ""))
        done = self.detmon("-q", "gate", "g", "--json", code=code)
        return done.json["checks"][0] if done.out else done.err


@pytest.fixture
def world(detmon: Shell) -> World:
    return World(detmon)


def pycocotools(truth: dict[str, Any], world: World, names: Iterable[str]) -> list[float]:
    """mAP, mAP .50, mAP .75 and AR 100 as COCO's own code has them."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    ids = {image["file_name"]: image["id"] for image in truth["images"]}
    results = [
        {"image_id": ids[name], "category_id": LABELS.index(label) + 1, "bbox": bbox, "score": score}
        for name in names
        for label, score, bbox in world.said[name]
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = truth
        known.createIndex()
        judge = COCOeval(known, known.loadRes(results), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return [judge.stats[0], judge.stats[1], judge.stats[2], judge.stats[8]]


def figures(found: Mapping[str, Any]) -> list[float]:
    return [found[key] for key in ("map", "map50", "map75", "ar100")]


def test_it_is_what_pycocotools_says(world: World) -> None:
    found = world.quality(world.records())
    expected = pycocotools(world.coco(sorted(world.names)), world, world.names)
    assert figures(found) == pytest.approx(expected, abs=1e-6)
    assert 0.3 < found["map50"] < 0.95
    assert (found["images"], found["unseen"], found["reasons"]) == (40, 0, [])
    version = found["version"]
    assert (version["name"], version["dataset"], version["images"], len(version["digest"])) == ("v1", "gt", 40, 64)


def test_python_and_the_gate_say_the_same(world: World) -> None:
    found = world.quality(world.records())
    report = Client().show_quality("cand", version="v1", log="cand.jsonl")
    assert report.ground_truth is not None
    assert report.ground_truth.to_dict() == found
    for metric in ("map", "map50", "map75", "ar100", "precision", "recall", "f1"):
        assert world.gate(metric=metric)["observed"] == found[metric]
    said = world.gate(1, metric="map50", threshold=0.99)
    assert (said["check"], said["status"], said["required"]) == ("evaluate map50", "fail", ">= 0.99")
    assert "40 images, 60 objects" in said["message"]


def test_one_label(world: World) -> None:
    classes = {one["label"]: one for one in world.quality(world.records())["classes"]}
    seen = {label: world.gate(None, metric="map50", label=label) for label in LABELS}  # type: ignore[arg-type]
    for label, told in seen.items():
        enough = classes[label]["objects"] >= 20
        assert told["status"] == ("pass" if enough else "undecided")
        assert told["observed"] == (classes[label]["ap50"] if enough else None)
    told = world.gate(3, metric="recall", label="tram")
    assert "no object is tram (labels: bus, car, person)" in told["message"]


def test_precision_of_a_label_counts_its_boxes(world: World) -> None:
    found = world.quality(world.records(), "--min-confidence", "0.4")
    right = {one["label"]: (one["recall"] or 0) * one["objects"] for one in found["classes"]}
    assert sum(right.values()) == pytest.approx(found["recall"] * found["objects"])
    assert found["threshold"] == 0.4


def test_images_without_a_prediction(world: World) -> None:
    some = world.names[:30]
    found = world.quality(world.records(some), "--exit-code", code=3)
    assert (found["unseen"], found["images"]) == (10, 30)
    assert found["reasons"][0]["code"] == "unseen_images"
    said = world.gate(3)
    assert (said["status"], said["observed"]) == ("undecided", None)
    assert "10 of 40 images have no prediction (missing_are_empty" in said["message"]
    found = world.quality(world.records(some), "--missing-are-empty", "--exit-code")
    assert figures(found) == pytest.approx(pycocotools(world.coco(sorted(world.names)), world, some), abs=1e-6)
    assert found["images"] == 40
    assert world.gate(missing_are_empty=True)["observed"] == found["map50"]


def test_images_on_which_the_model_failed_have_no_prediction(world: World) -> None:
    records = world.records()
    records[0] |= {"status": "error", "detections": []}
    assert world.quality(records)["unseen"] == 1


def test_other_images_are_ignored(world: World) -> None:
    strangers = [dict(one, image_id=f"other/{k}.jpg") for k, one in enumerate(world.records(world.names[:7]))]
    found = world.quality([*world.records(), *strangers])
    assert figures(found) == figures(world.quality(world.records()))
    assert [one["count"] for one in found["warnings"] if one["code"] == "not_in_version"] == [7]
    world.log([*world.records(), *strangers])
    assert "7 predictions of other images are ignored" in world.gate()["message"]


def test_a_split_alone(world: World) -> None:
    val = world.names[:10]
    found = world.quality(world.records(), "--split", "val")
    assert figures(found) == pytest.approx(pycocotools(world.coco(sorted(val)), world, val), abs=1e-6)
    said = world.gate(3, split="val")
    assert "10 images with 13 objects, 20 with 30 needed" in said["message"]
    (world.detmon.folder / "extra.toml").write_text("[quality]\nmin_images = 5\nmin_detections = 5\n")
    assert world.gate(split="val")["observed"] == found["map50"]
    assert "has no image for 'test'" in world.gate(2, split="test")
    assert "one of train, val, test" in world.gate(2, split="vall")


def test_the_newest_prediction_of_an_image_counts(world: World) -> None:
    older = [dict(one, timestamp="2026-11-19T00:00:00Z", detections=[]) for one in world.records()]
    found = world.quality([*world.records(), *older])
    assert figures(found) == figures(world.quality(world.records()))
    assert {one["code"]: one["count"] for one in found["warnings"]} == {"training_images": 30, "same_image": 40}


def test_images_of_another_size_cannot_be_compared(world: World) -> None:
    records = world.records()
    records[3] |= {"image_width": 320, "image_height": 240}
    world.log(records)
    assert "1 images have another size than in the version (log: 320×240, version: 640×480)" in world.gate(3)["message"]


@pytest.mark.parametrize(
    "renamed", [lambda name: name, lambda name: f"/runs/7/images/val/{name}", lambda name: name.rpartition(".")[0]]
)
def test_images_are_found_by_their_names_in_an_export(world: World, renamed: Callable[[str], str]) -> None:
    def exported(name: str) -> str:
        return f"{sha256(name.encode()).hexdigest()[:8]}_{Path(name).name}"

    records = [dict(one, image_id=renamed(exported(one["image_id"]))) for one in world.records()]
    assert figures(world.quality(records)) == figures(world.quality(world.records()))


def test_images_are_found_by_part_of_their_paths(world: World) -> None:
    records = [dict(one, image_id=f"/data/{one['image_id']}") for one in world.records()]
    world.log(records)
    assert "no image in common" in world.gate(2)
    assert world.gate(image_id="name")["observed"] == world.quality(world.records())["map50"]


def test_sources_tell_images_of_one_name_apart(detmon: Shell) -> None:
    from reviewed_world import CAR, create, line, reviewed, said

    lines = [line("1.jpg", ("car", 0.9, CAR), id=f"p{k}", source=f"cam{k}") for k in range(2)]
    reviewed(detmon, lines, [said("p0", "correct", 0), said("p1", "false_positive", 0)])
    create(detmon, "v1")
    other = {"image_id": "1.jpg", "model_id": "cand", "timestamp": "2026-11-20T08:00:00Z"}
    boxes = [{"label": "car", "confidence": 0.9, "bbox": CAR}]
    log = [{**other, "source": "cam0", "detections": boxes}, {**other, "source": "cam1", "detections": []}]
    (detmon.folder / "cand.jsonl").write_text("".join(json.dumps(one) + "\n" for one in log))
    show = ("quality", "show", "--version", "v1", "--log", "cand.jsonl", "--json")
    found = detmon(*show).json["ground_truth"]
    assert (found["precision"], found["recall"], found["unseen"]) == (1, 1, 0)
    (detmon.folder / "cand.jsonl").write_text(json.dumps({**other, "detections": boxes}) + "\n")
    assert "no image in common" in detmon(*show, code=2).err


def test_a_log_in_another_format(world: World) -> None:
    """COCO results: their options stand in the configuration; images without boxes are not in them."""
    ids = {name: k for k, name in enumerate(sorted(world.names), 1)}
    results = [
        {"image_id": ids[name], "category_id": LABELS.index(label) + 1, "bbox": bbox, "score": score}
        for name, boxes in world.said.items()
        for label, score, bbox in boxes
    ]
    (world.detmon.folder / "results.json").write_text(json.dumps(results))
    (world.detmon.folder / "images.json").write_text(json.dumps(world.coco(sorted(world.names))))
    (world.detmon.folder / "extra.toml").write_text(
        '[ingest."results.json"]\nmodel = "cand"\nstart = "2026-11-20T08:00:00Z"\n'
        'categories = "images.json"\nimages = "images.json"\n'
    )
    (world.detmon.folder / "elsewhere").mkdir()
    world.gate(log="results.json")
    world.detmon.monkeypatch.chdir(world.detmon.folder / "elsewhere")
    done = world.detmon("--config", "../detmon.toml", "--db", "../detmon.duckdb", "-q", "gate", "g", "--json").json[
        "checks"
    ][0]
    world.detmon.monkeypatch.chdir(world.detmon.folder)
    assert done["observed"] == world.quality(world.records())["map50"]


def test_whose_predictions_they_are(world: World) -> None:
    world.log(world.records())
    assert "has predictions of cand, not of 'cadn'" in world.gate(2, model="cadn")
    assert world.gate(model="") == world.gate()
    world.log([*world.records(), *world.records(model_id="other")])
    assert "which model?" in world.gate(2, model="")
    world.detmon("model", "register", "next")
    text = '[gate.g]\nmodel = "next"\nchecks = [{ check = "evaluate", model = "other", version = "v1", '
    text += 'log = "cand.jsonl", '
    (world.detmon.folder / "detmon.toml").write_text(text + 'metric = "map", operator = "ge", threshold = 0 }]\n')
    assert ": other on 'v1'" in world.detmon("gate", "g").out


@pytest.mark.parametrize(
    ("check", "code", "says"),
    [
        ({"metric": "mapp"}, 2, "did you mean 'map'?"),
        ({"metric": "ar100", "label": "car"}, 2, "with a label"),
        ({"threshold": 60}, 2, "write a share"),
        ({"min_confidence": "0.5"}, 2, "write a number"),
        ({"missing_are_empty": "yes"}, 2, "write true or false"),
        ({"version": "v2"}, 2, "did you mean 'v1'?"),
        ({"digest": "0000"}, 2, "not 0000"),
        ({"log": "gone.jsonl"}, 4, "gone.jsonl"),
        ({"log": "noise.bin"}, 4, "noise.bin"),
        ({"log": "empty.jsonl"}, 2, "empty.jsonl"),
        ({"logg": "x"}, 2, "did you mean 'log'?"),
    ],
)
def test_what_cannot_be_evaluated(world: World, check: dict[str, Any], code: int, says: str) -> None:
    world.log(world.records())
    (world.detmon.folder / "noise.bin").write_bytes(bytes(range(256)) * 9)
    (world.detmon.folder / "empty.jsonl").touch()
    assert says in world.gate(code, **check)


def test_a_digest_that_is_named(world: World) -> None:
    digest = world.quality(world.records())["version"]["digest"]
    assert world.gate(digest=digest[:12])["status"] == "pass"


def test_labels_that_were_changed_in_the_store(world: World) -> None:
    from detmon.store import Store

    world.log(world.records())
    with Store(world.detmon.folder / "detmon.duckdb").writing() as con:
        con.execute("UPDATE version_items SET annotations = []")
    assert "were changed in the store" in world.gate(4)


def test_a_stored_model(world: World) -> None:
    world.detmon("ingest", world.log(world.records()))
    stored = world.detmon("quality", "show", "--model", "cand", "--version", "v1", "--json").json
    assert stored["ground_truth"] == world.quality(world.records())


@pytest.mark.parametrize(
    "args",
    [
        ["--log", "cand.jsonl"],
        ["--split", "val"],
        ["--version", "v1", "--ground-truth", "val.json"],
        ["--version", "v1", "--log", "cand.jsonl", "--period", "last 7d"],
        ["--version", "v1", "--fps", "5"],
    ],
)
def test_options_that_do_not_go_together(world: World, args: list[str]) -> None:
    world.detmon("ingest", world.log(world.records()))
    assert "error: " in world.detmon("quality", "show", *args, code=2).err


@pytest.mark.parametrize("format", ["text", "markdown", "html"])
def test_the_report(world: World, format: str) -> None:
    args = ("--version", "v1", "--log", world.log(world.records(world.names[:39])), "--format", format)
    shown = world.detmon("quality", "show", *args).out
    assert "mAP" in shown
    assert "of 40 images have no prediction" in shown.replace("\\_", "_")
    assert "Not enough data" not in shown


def test_the_camera_traps(detmon: Shell, data: Path) -> None:
    traps = data / "cameratrap"
    detmon("dataset", "create", "gt")
    detmon("version", "create", "gt", "--name", "v1", "--from", traps / "gt.json")
    log = ("--log", traps / "model_v1_log.parquet", "--min-confidence", "0.25")
    found = detmon("-q", "quality", "show", "--version", "v1", *log, "--json").json["ground_truth"]
    assert round(found["map"], 3) == 0.835
    assert (found["images"], found["objects"], found["boxes"], found["unseen"]) == (825, 1046, 1033, 0)


@pytest.mark.parametrize("name", ["kitti/rrc_log", "voc/log", "bdd100k/log"])
def test_a_version_is_the_ground_truth_it_was_made_from(detmon: Shell, data: Path, name: str) -> None:
    """But for regions to ignore, which a version does not hold: boxes on them are false ones."""
    gt, log = (data / name).parent / "gt.json", data / f"{name}.parquet"
    detmon("-q", "ingest", log)
    detmon("dataset", "create", "gt")
    detmon("version", "create", "gt", "--name", "v1", "--from", gt)
    file = detmon("-q", "quality", "show", "--ground-truth", gt, "--json").json["ground_truth"]
    version = detmon("-q", "quality", "show", "--version", "v1", "--json").json["ground_truth"]
    assert (version["objects"], version["images"]) == (file["objects"], file["images"])
    ignored = any(one.get("iscrowd") for one in json.loads(gt.read_text())["annotations"])
    same = pytest.approx(figures(file), abs=1e-3)
    assert figures(version) == same or (ignored and version["map"] < file["map"])


def test_a_model_that_serves_nothing(world: World) -> None:
    world.log([dict(one, detections=[]) for one in world.records()])
    assert "precision is not known, no box is served" in world.gate(3, metric="precision")["message"]
    assert world.gate(metric="map50")["observed"] == 0


def test_whom_the_labels_favour_is_said(detmon: Shell) -> None:
    lines = [line(f"{n}.png", ("car", 0.9, CAR), source=f"cam{n % 4}", id=f"p{n}") for n in range(8)]
    reviewed(detmon, lines, [said(f"p{n}", "correct", 0) for n in range(8)])
    made = create(detmon, "v1")

    def warned(*options: str) -> dict[str, int]:
        found = detmon("quality", "show", "--model", "m", "--version", "v1", "--json", *options).json["ground_truth"]
        return {one["code"]: one["count"] for one in found["warnings"]}

    assert warned() == {"labels_of_model": 8, "training_images": made["train"]}
    assert warned("--split", "val") == {"labels_of_model": made["val"], "not_in_version": made["train"]}
