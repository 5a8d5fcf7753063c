"""`export VERSION`, `export predictions`: what trainers and stores make of it."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, Shell
from objects import Files, serving
from pictures import draw, png
from reviewed_world import BUS, CAR, create, ingest, judge, labels, line, reviewed, said

from detmon.datasets import filenames
from detmon.formats.truth import Truth, read_truth


def export(detmon: Shell, version: str, format: str, out: str, *args: object, code: int = 0) -> dict[str, Any]:
    """Write a version; what the command says."""
    done: dict[str, Any] = detmon("export", version, "--format", format, "--out", out, *args, "--json", code=code).json
    return done


@pytest.fixture
def world(detmon: Shell) -> Shell:
    """A version `v1`: eight images of four cameras, with pictures below `pictures/`."""
    lines = [
        line(f"cam{n % 4}/{n} ä.png", ("car", 0.9, CAR), ("bus", 0.8, BUS), source=f"cam{n % 4}", id=f"p{n}")
        for n in range(8)
    ]
    for one in lines:
        draw(detmon.folder / "pictures" / one["image_id"])
    verdicts = [said(f"p{n}", "correct", k) for n in range(8) for k in (0, 1)]
    verdicts[0] = said("p0", "false_positive", 0)
    verdicts[1] = said("p0", "false_positive", 1)
    reviewed(detmon, lines, verdicts)
    create(detmon, "v1")
    return detmon


def objects(truth: Truth, sizes: tuple[int, int] | None = None) -> dict[str, list[tuple[Any, ...]]]:
    """The objects of each image, by image, sides rounded to pixels' tenths."""
    found: dict[str, list[tuple[Any, ...]]] = {image: [] for image in truth.images}
    scale = np.array([*sizes, *sizes] if sizes else [1] * 4)
    for image, label, sides in zip(truth.boxes.image, truth.boxes.label, truth.boxes.xywh.T, strict=True):
        found[truth.images[image]].append((truth.labels[label], *np.round(sides * scale, 1).tolist()))
    return {image: sorted(one) for image, one in found.items()}


def expected(detmon: Shell, version: str) -> dict[str, list[tuple[Any, ...]]]:
    """The labels of a version, by name of file."""
    return {filenames.name(image, None): one for image, one in labels(detmon, version).items()}


def test_coco_is_read_by_pycocotools(world: Shell) -> None:
    from pycocotools.coco import COCO

    done = export(world, "v1", "coco", "out", "--image-root", "pictures")
    counts = []
    for split in ("train", "val"):
        with contextlib.redirect_stdout(io.StringIO()):
            found = COCO(f"out/annotations/instances_{split}.json")
        counts.append((len(found.imgs), len(found.anns)))
        assert sorted(found.imgs) == list(range(1, len(found.imgs) + 1))
        assert sorted(found.anns) == list(range(1, len(found.anns) + 1))
        assert [(one["id"], one["name"]) for one in found.dataset["categories"]] == [(1, "bus"), (2, "car")]
        for image in found.imgs.values():
            assert Path("out/images", split, image["file_name"]).read_bytes() == png(640, 480)
        for one in found.anns.values():
            assert one["area"] == one["bbox"][2] * one["bbox"][3]
    assert counts == [(done["train"], done["annotations"] - counts[1][1]), (done["val"], counts[1][1])]
    assert (done["images"], done["annotations"]) == (8, 14)


@pytest.mark.parametrize("format", ["coco", "yolo"])
def test_what_is_written_is_read_back(world: Shell, format: str) -> None:
    """By the reader of ground truth, and as given labels of a new version: the labels are the same."""
    export(world, "v1", format, "out", "--image-root", "pictures")
    if format == "yolo":
        back = objects(read_truth(Path("out")), (640, 480))
    else:
        parts = [read_truth(Path(f"out/annotations/instances_{split}.json")) for split in ("train", "val")]
        back = objects(parts[0]) | objects(parts[1])
    assert back == expected(world, "v1")
    again = create(world, "again", "--from", "out")
    first = world("version", "show", "v1", "--json").json
    kept = ("items", "annotations", "train", "val", "classes")
    assert [again[key] for key in kept] == [first[key] for key in kept]
    rounded = {
        image: [(one[0], *(round(side, 1) for side in one[1:])) for one in found]
        for image, found in labels(world, "again").items()
    }
    if format == "coco":
        assert labels(world, "again") == labels(world, "v1")
    else:
        assert rounded == expected(world, "v1")


def test_yolo(world: Shell) -> None:
    done = export(world, "v1", "yolo", "out", "--image-root", "pictures")
    texts = sorted(Path("out/labels").rglob("*.txt"))
    pictures = sorted(Path("out/images").rglob("*.png"))
    assert [one.relative_to("out/labels").with_suffix("") for one in texts] == [
        one.relative_to("out/images").with_suffix("") for one in pictures
    ]
    assert len(texts) == done["images"] == 8
    nothing = next(one for one in texts if one.stem == filenames.name("cam0/0 ä.png", None)[:-4])
    assert nothing.read_text() == ""
    other = next(one for one in texts if one != nothing)
    assert other.read_text() == "0 0.375000 0.135417 0.125000 0.104167\n1 0.093750 0.104167 0.156250 0.125000\n"
    data = Path("out/data.yaml").read_text()
    assert data.splitlines()[1:] == ["train: images/train", "val: images/val", "names:", '  0: "bus"', '  1: "car"']


def test_names_of_classes_survive_yaml(detmon: Shell) -> None:
    names = ["no", "a: b", "#1", 'say "hi"', "it's", "ü, ö", "- x", "a #b", "{x}", "1", "🚗", "a\u2028b"]
    lines = [line("i.png", *((name, 0.9, [9 * k + 1, 9, 8, 8]) for k, name in enumerate(names)))]
    reviewed(detmon, lines, [said("i.png", "correct", k) for k in range(len(names))])
    create(detmon, "v1")
    export(detmon, "v1", "yolo", "out", "--no-images")
    assert objects(read_truth(Path("out")), (640, 480)) == {
        Path(one).stem: found for one, found in {k: sorted(v) for k, v in expected(detmon, "v1").items()}.items()
    }


def test_a_full_disk_ends_the_export(world: Shell) -> None:
    """Although all but the largest picture, and all labels, find room."""
    with (world.folder / "pictures/cam3/7 ä.png").open("ab") as file:
        file.write(bytes(100_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        failed = world("export", "v1", "--format", "yolo", "--out", "out", "--image-root", "pictures", code=4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot write out: File too large" in failed.err
    assert not [one.name for one in world.folder.iterdir() if "out" in one.name]


def test_boxes_end_at_the_edge_and_tiny_ones_are_dropped(detmon: Shell) -> None:
    boxes = [[-10, -10, 30, 40], [620, 470, 30, 20], [639.5, 10, 50, 50], [690, 10, 50, 50], [10, 10, 1, 1]]
    boxes += [[20 + 30 * k, 100, 20, 20] for k in range(10)]
    reviewed(
        detmon,
        [line("i.png", *(("car", 0.9, box) for box in boxes))],
        [said("i.png", "correct", k) for k in range(len(boxes))],
    )
    create(detmon, "v1")
    done = export(detmon, "v1", "coco", "out", "--no-images")
    assert (done["annotations"], done["clipped"], done["dropped"]) == (13, 2, 2)
    found = [one["bbox"] for one in json.loads(Path("out/annotations/instances_train.json").read_text())["annotations"]]
    assert [box for box in found if box[1] != 100] == [[0, 0, 20, 30], [10, 10, 1, 1], [620, 470, 20, 10]]
    assert "boxes_dropped" in [one["code"] for one in done["warnings"]]
    assert "no_validation" in [one["code"] for one in done["warnings"]]


def test_sizes_are_read_from_pictures(detmon: Shell) -> None:
    bare = {"image_width": None, "image_height": None}
    lines = [line("a.png", ("car", 0.9, CAR), **bare), line("b.png", ("car", 0.9, CAR), **bare)]
    reviewed(detmon, lines, [said(one, "correct", 0) for one in ("a.png", "b.png")])
    draw(detmon.folder / "a.png", 200, 100)
    create(detmon, "v1")
    for args in ((), ("--no-images",)):
        done = export(detmon, "v1", "yolo", f"out{len(args)}", *args)
        [text] = Path(done["out"]).rglob("*.txt")
        assert text.read_text() == "0 0.300000 0.500000 0.500000 0.600000\n"
        assert sum(done["left_out"].values()) == 1
    unsized = export(detmon, "v1", "coco", "coco", "--no-images")
    assert unsized["images"] == 2
    images = json.loads(Path("coco/annotations/instances_train.json").read_text())["images"]
    assert [one.get("width") for one in images] == [200, None]


def test_what_cannot_be_read_is_listed(world: Shell) -> None:
    Path("pictures/cam0/0 ä.png").unlink()
    Path("pictures/cam1/1 ä.png").write_text("<html>not found</html>")
    Path("pictures/cam2/2 ä.png").unlink()
    Path("pictures/cam2/2 ä.png").mkdir()
    draw(Path("pictures/cam3/3 ä.png"), 320, 240)
    done = export(world, "v1", "coco", "out", "--image-root", "pictures")
    with open("out/left_out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["image_id"], row["reason"]) for row in rows] == [
        ("cam0/0 ä.png", "image_missing"),
        ("cam1/1 ä.png", "no_picture"),
        ("cam2/2 ä.png", "image_missing"),
    ]
    assert done["images"] == 5
    assert len(list(Path("out/images").rglob("*.png"))) == 5
    assert done["left_out"] == {"image_missing": 2, "no_picture": 1}
    assert {"image_missing", "no_picture", "size_differs"} <= {one["code"] for one in done["warnings"]}


def test_no_picture_at_all_is_a_failure(world: Shell) -> None:
    failed = world("export", "v1", "--format", "yolo", "--out", "out", code=4)
    assert "none of 8 images can be read" in failed.err
    assert "--image-root" in failed.err
    assert sorted(os.listdir()) == sorted([*"", "detmon.duckdb", "log.jsonl", "pictures", "verdicts.jsonl"])


def test_links_lead_to_the_pictures(world: Shell) -> None:
    export(world, "v1", "yolo", "out", "--image-root", "pictures", "--link")
    found = sorted(Path("out/images").rglob("*.png"))
    assert len(found) == 8
    assert all(one.is_symlink() and one.read_bytes() == png(640, 480) for one in found)


def test_an_existing_folder_is_left_alone(world: Shell) -> None:
    for make in (lambda: Path("out").mkdir(), lambda: Path("out").symlink_to("nowhere")):
        make()
        refused = world("export", "v1", "--format", "coco", "--out", "out", "--no-images", code=2)
        assert "error: out exists" in refused.err
        Path("out").rmdir() if not Path("out").is_symlink() else Path("out").unlink()
    assert "unknown version 'v'" in world("export", "v", "--format", "coco", "--out", "x", code=2).err
    Path("file").write_text("")
    assert "cannot write" in world("export", "v1", "--format", "coco", "--out", "file/x", code=4).err


def test_a_changed_manifest_is_not_exported(world: Shell) -> None:
    from detmon.store import Store

    with Store(world.folder / "detmon.duckdb").writing() as con:
        con.execute("UPDATE version_items SET split = 'val' WHERE image_id LIKE '%0 ä.png'")
    failed = world("export", "v1", "--format", "coco", "--out", "out", "--no-images", code=4)
    assert "were changed in the store" in failed.err


@pytest.mark.parametrize("what", [("v1", "--format", "yolo", "--no-images"), ("predictions",)])
def test_a_killed_export_leaves_no_folder(world: Shell, what: tuple[str, ...]) -> None:
    killed = world.process("export", *what, "--out", "out", env={"DETMON_FAILPOINT": "export.written"})
    assert killed.returncode == -9
    assert not Path("out").exists()
    assert len(list(Path().glob(".out.detmon-*"))) == 1
    world("export", *what, "--out", "out")
    assert Path("out").is_dir()
    assert not list(Path().glob(".out.detmon-*"))


def test_an_interrupted_export_leaves_nothing(world: Shell) -> None:
    """Its picture comes from a server that is slow."""
    with serving() as files:
        files.faults.extend([(503, {"Retry-After": "1"})] * 10)
        rows = [line("x.png", image_uri=f"{files.url}/x.png", id="x", source="other")]
        ingest(world, rows, "more.jsonl")
        world("item", "add", "--dataset", "review", "x")
        judge(world, [said("x", "correct")], "v.jsonl")
        create(world, "v2")
        process = subprocess.Popen(
            world.command("export", "v2", "--format", "coco", "--out", "out", "--image-root", "pictures"),
            stderr=subprocess.PIPE,
        )
        while not files.asked:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert not list(Path().glob("*out*"))


# --- names ---

NASTY = [
    "a b.png", "ä/é.png", "A.PNG", "a.png", "x/a.png", "y/a.png", "../../etc/passwd", "/etc/passwd", "..", ".", "",
    ".png", "a\nb.png", "c\\d.png", "long" * 200 + ".png", "é" * 300 + ".png", "con.png", "no suffix", "a.tar.gz", "x/",
    "frame.0001", "'; rm -rf /;'.png", "%2e%2e%2f", "\u202egnp.exe", "e\u0301.png", "é.png", "İ.png",
]  # fmt: skip


def test_names_lead_nowhere_else() -> None:
    found = filenames.names((image, None, f"it_{k:012x}") for k, image in enumerate(NASTY))
    assert len({name.rpartition(".")[0].casefold() for name in found}) == len(NASTY)
    for image, name in zip(NASTY, found, strict=True):
        assert Path(name).name == name, image
        assert len(name.encode()) <= 200
        assert name.isprintable() or "\u202e" in name
        assert name.rpartition(".")[2].lower() in ("png", "jpg")
    assert found[3] == filenames.name("a.png", None)
    assert found[3].endswith("_a.png")
    assert filenames.name("frame", "s3://b/x.PNG?sig=1").endswith("_frame.PNG")


def test_names_that_are_alike_stay_apart() -> None:
    """Also where the first digits of two ids' hashes are the same, as among many they are."""
    twice = filenames.names([("a.png", None, "it_1"), ("a.png", None, "it_2"), ("a.png", None, "it_2")])
    assert len(set(twice)) == 3
    assert twice[0] == filenames.name("a.png", None)
    assert twice[1].endswith("_2_a.png")


def test_nasty_ids_are_exported_within_the_folder(detmon: Shell) -> None:
    ids = [one for one in NASTY if one and one.isprintable() and "\\" not in one and len(one) <= 512]
    lines = [line(image, source=f"c{k}", id=f"p{k}", image_uri=None) for k, image in enumerate(ids)]
    reviewed(detmon, lines, [said(f"p{k}", "correct") for k in range(len(ids))])
    create(detmon, "v1")
    done = export(detmon, "v1", "yolo", "deep/er/out", "--no-images")
    assert done["images"] == len(ids) == len(list(Path("deep/er/out/labels").rglob("*.txt")))
    assert sorted(os.listdir("deep/er")) == ["out"]
    assert sorted(os.listdir()) == ["deep", "detmon.duckdb", "log.jsonl", "verdicts.jsonl"]


# --- pictures elsewhere ---


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    """A server of files; after a failure the next attempt follows at once."""
    from detmon.formats import web

    monkeypatch.setattr(web, "PAUSE", 0.0)
    with serving() as files:
        yield files


def test_pictures_behind_addresses(detmon: Shell, server: Files) -> None:
    ids = ["a.png", "b.png", "c.png", "d.png"]
    server.content = {f"/{one}": png(640, 480) for one in ids[:2]} | {"/c.png": b"<html>"}
    local = draw(detmon.folder / "elsewhere" / "e e.png")
    lines = [line(one, ("car", 0.9, CAR), image_uri=f"{server.url}/{one}?token=x") for one in ids]
    lines += [line("e.png", ("car", 0.9, CAR), image_uri=local.as_uri()), line("f.png", image_uri=str(local))]
    reviewed(detmon, lines, [said(one, "correct", 0) for one in [*ids, "e.png"]] + [said("f.png", "correct")])
    create(detmon, "v1")
    done = export(detmon, "v1", "coco", "out")
    assert done["images"] == 4
    assert len(list(Path("out/images").rglob("*.png"))) == 4
    assert done["left_out"] == {"image_unreadable": 1, "no_picture": 1}
    said_of = {one["code"]: one["message"] for one in done["warnings"]}
    assert "404" in said_of["image_unreadable"]
    assert all("token" not in one.read_text() for one in Path("out").rglob("*.*") if one.suffix in (".json", ".csv"))
    assert "token" not in str(said_of)


def test_a_dead_server_is_not_asked_for_ever(detmon: Shell, server: Files) -> None:
    ids = [f"{k}.png" for k in range(40)]
    lines = [line(one, image_uri=f"{server.url}/{one}") for one in ids]
    reviewed(detmon, lines, [said(one, "correct") for one in ids])
    create(detmon, "v1")
    failed = detmon("export", "v1", "--format", "coco", "--out", "out", code=4)
    assert "none of 40 images" in failed.err
    assert len(server.asked) < 30


# --- predictions ---


def rows(db: str) -> list[dict[str, Any]]:
    """All predictions of a store."""
    from detmon.store import Store

    with Store(Path(db)).reading() as con:
        found = con.execute("SELECT * EXCLUDE (batch_id) FROM predictions ORDER BY prediction_id")
        names = [one[0] for one in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def test_predictions_make_the_same_store(detmon: Shell) -> None:
    lines = [
        line("a.png", ("car", 0.29, [1.1, 2.2, 3.3, 4.4]), ("bus", 1, BUS), tags={"site": "north"}, latency_ms=21.4),
        line("b.png", ("car", 0.9, None), confidence_floor=0.25, image_uri="s3://b/x"),
        line("c.png", timestamp="2026-11-19T23:59:59.123456Z", source=None, image_width=None, image_height=None),
        line("d.png", status="error", model_id="other"),
        line("e.png"),
    ]
    lines[4]["detections"] = [{"label": "car", "confidence": None, "bbox": CAR, "detection_id": "d", "track_id": "7"}]
    ingest(detmon, lines)
    done = detmon("export", "predictions", "--out", "log", "--json").json
    assert (done["predictions"], done["detections"], done["files"]) == (5, 4, 2)
    assert sorted(str(one) for one in Path("log").rglob("*.parquet")) == [
        "log/dt=2026-11-19/part-0.parquet",
        "log/dt=2026-11-20/part-0.parquet",
    ]
    detmon("--db", "other.duckdb", "ingest", "log")
    assert rows("other.duckdb") == rows("detmon.duckdb")
    some = detmon(
        "export", "predictions", "--model", "other", "--period", "2026-11-20:2026-11-20", "--out", "x", "--json"
    )
    assert some.json["predictions"] == 1
    none = detmon("export", "predictions", "--period", "2020-01-01:2020-01-02", "--out", "none", "--json").json
    assert (none["files"], none["predictions"], os.listdir("none")) == (0, 0, [])
    assert "log exists" in detmon("export", "predictions", "--out", "log", code=2).err


def test_real_logs_make_the_same_store(detmon: Shell, data: Path) -> None:
    for log in ("cameratrap/model_v0_log.parquet", "bdd100k/log.parquet", "opendatacam/junction_log.parquet"):
        detmon("ingest", data / log)
    detmon("export", "predictions", "--out", "log")
    detmon("--db", "other.duckdb", "ingest", "log")
    assert rows("other.duckdb") == rows("detmon.duckdb")


def test_an_unknown_denominator_is_told(detmon: Shell) -> None:
    Path("log.csv").write_text(
        "model_id,image_id,timestamp,label,confidence,x1,y1,x2,y2\nm,a,2026-11-20T08:00:00Z,car,0.9,1,2,30,40\n"
    )
    detmon("ingest", "log.csv")
    done = detmon("export", "predictions", "--out", "log", "--json")
    assert done.json["unknown"] == 1
    assert "without images that have no detections" in done.err


# --- the real trainer ---


@pytest.mark.slow
def test_ultralytics_trains_on_it(detmon: Shell) -> None:
    """From another folder than the dataset's, with names that are not plain; what it reads are the version's labels."""
    python = os.environ.get("DETMON_TEST_SERVING", sys.executable)
    if subprocess.run([python, "-W", "ignore", "-c", "import ultralytics"], capture_output=True).returncode:
        pytest.skip("no environment with torch and ultralytics (DETMON_TEST_SERVING)")
    ids = ["a b.png", "x/a b.png", "ä'\".png", "[1]*?.png", "a.b.c", "A B.png", "no:", "%s.png"]
    lines = [line(one, ("no", 0.9, CAR), ("a: #b", 0.8, BUS), source=f"cam{k}") for k, one in enumerate(ids)]
    for one in lines:
        draw(detmon.folder / "pictures" / one["image_id"])
    verdicts = [said(one, "correct" if one != "no:" else "false_positive", k) for one in ids for k in (0, 1)]
    reviewed(detmon, lines, verdicts)
    create(detmon, "v1")
    done = export(detmon, "v1", "yolo", "deep/out", "--image-root", "pictures")
    assert done["train"] > 0 < done["val"]
    Path("elsewhere").mkdir()
    script = ROOT / "tests" / "training_libraries.py"
    command = [python, script, Path("deep/out/data.yaml").absolute(), Path("elsewhere").absolute()]
    trained = subprocess.run(command, cwd="elsewhere", capture_output=True, text=True, timeout=280)
    assert trained.returncode == 0, trained.stderr[-3000:]
    found = json.loads(Path("elsewhere/seen.json").read_text())
    assert found["names"] == {"0": "a: #b", "1": "no"}
    seen = found["seen"]["train"] | found["seen"]["val"]
    assert (len(found["seen"]["train"]), len(found["seen"]["val"])) == (done["train"], done["val"])
    sizes = np.array([640, 480, 640, 480])
    for image, boxes in labels(detmon, "v1").items():
        read = np.array(seen[filenames.name(image, None)]).reshape(-1, 5)
        corners = [(x + w / 2, y + h / 2, w, h) for _, x, y, w, h in boxes]
        assert [found["names"][str(int(kind))] for kind in read[:, 0]] == [label for label, *_ in boxes]
        assert np.allclose(read[:, 1:] * sizes, np.array(corners).reshape(-1, 4), atol=1e-3)
    assert list(Path("elsewhere/run/weights").glob("*.pt"))
