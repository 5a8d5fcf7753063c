"""`quality show`: what reviews say of a model, and when they say nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Shell
from stored import Row, at, store, text
from verdicts import Verdict, judge

from detmon import Client
from detmon.quality.records import QualityReport
from detmon.store import Store, transaction

DAY = 86400
BOXES = (("car", 0.9), ("person", 0.5))


def images(number: int = 60, boxes: Sequence[tuple[str, float]] = BOXES, days: int = 10) -> list[Row]:
    """Images of two cameras over so many days; each is called p0, p1, …"""
    return [Row(at(place * days * DAY / number), source=f"cam-{place % 2 + 1}", boxes=boxes) for place in range(number)]


def verdicts(number: Iterable[int], scope: str = "exhaustive", wrong_every: int = 4) -> list[Verdict]:
    """Every box judged; the person of each fourth image is a false positive."""
    found = []
    for place in number:
        found.append(Verdict(f"p{place}", "correct", 0, scope))
        found.append(Verdict(f"p{place}", "correct" if place % wrong_every else "false_positive", 1, scope))
    return found


def show(folder: Path, **options: Any) -> QualityReport:
    return Client(folder / "detmon.duckdb", now="2024-06-01T00:00:00Z").show_quality("m", **options)


def codes(report: QualityReport, number: str) -> list[str]:
    """Why a number is absent."""
    return [reason.code for reason in report.reasons if number in reason.refuses]


def told(report: QualityReport) -> set[str]:
    return {reason.code for reason in report.reasons}


def engine(folder: Path, rate: float = 0.05, *, random: bool = True) -> None:
    """An engine that selects images with a low confidence at .5, others at `rate`, has scanned all."""
    client = Client(folder / "detmon.duckdb", now="2024-06-01T00:00:00Z")
    dataset = client.create_dataset("review")
    config = {
        "low_confidence": {"enabled": True, "threshold": 0.6, "sample_rate": 0.5},
        "random_sample": {"enabled": random, "rate": rate},
    }
    client.configure_data_engine(model_id="m", config=config, target_dataset_id=dataset.id)
    client.run_data_engine(model_id="m")


def items(folder: Path) -> dict[str, float]:
    with Store(folder / "detmon.duckdb").reading() as con:
        return dict(con.execute("SELECT prediction_id, inclusion_probability FROM items").fetchall())


# --- nothing to say ------------------------------------------------------------------------------------------------


def refused(detmon: Shell, *options: str) -> Any:
    """`quality show --exit-code` cannot decide."""
    return detmon("quality", "show", "--model", "m", "--json", "--exit-code", *options, code=3).json


def test_without_reviews_there_is_no_number(detmon: Shell) -> None:
    store(detmon.folder, images())
    found = refused(detmon)
    assert found["precision"] == {
        "value": None,
        "low": None,
        "high": None,
        "n": 0,
        "effective_n": None,
        "clusters": None,
    }
    assert found["recall"] is found["expected_precision"] is found["calibration"] is None
    assert found["reasons"][0]["code"] == "no_feedback"
    assert "Not enough data" in detmon("quality", "show", "--model", "m").out
    assert "no image" in detmon("quality", "show", "--model", "m", "--period", "2030-01-01:2030-01-02").out


def test_reviews_that_nobody_selected_speak_for_themselves_only(detmon: Shell) -> None:
    store(detmon.folder, images())
    judge(detmon.folder, verdicts(range(40)))
    found = refused(detmon)
    assert found["precision"]["value"] is None
    assert found["precision"]["n"] == 0
    assert found["volunteered"] == {
        "images": 40, "correct": 70, "wrong_label": 0, "wrong_box": 0, "false_positive": 10, "missed_object": 0,
    }  # fmt: skip
    assert [reason["code"] for reason in found["reasons"]] == ["not_sampled"]
    said = detmon("quality", "show", "--model", "m", "--assume-random", "--json", "--exit-code").json
    assert said["precision"]["value"] == 70 / 80
    assert said["recall"]["value"] == 1
    assert said["basis"] == "assumed_random"
    assert said["volunteered"]["images"] == 0
    assert said["reasons"][-1] == {
        "code": "assumed_random",
        "message": "as told, the reviewed images are taken for a simple random sample of the period",
        "refuses": [],
    }


def test_recall_needs_people_who_looked_for_what_is_missing(detmon: Shell) -> None:
    store(detmon.folder, images())
    judge(detmon.folder, verdicts(range(60), "boxes_only"))
    found = refused(detmon)
    assert found["basis"] == "census"
    assert found["precision"]["value"] == 105 / 120
    assert found["recall"] is found["errors"]["missed_object"] is found["f1"] is None
    assert found["reasons"] == [
        {
            "code": "boxes_only",
            "message": "only boxes were judged, nobody looked for missed objects (scope exhaustive)",
            "refuses": ["recall", "missed_object"],
        },
        *found["reasons"][1:],
    ]


@pytest.mark.parametrize("number", [19, 14])
def test_too_few(detmon: Shell, number: int) -> None:
    store(detmon.folder, images(number, [("car", 0.9)]))
    judge(detmon.folder, [Verdict(f"p{place}", index=0, scope="exhaustive") for place in range(number)])
    found = refused(detmon)
    assert found["precision"]["value"] is None
    assert found["precision"]["n"] == number
    assert found["reasons"][0]["code"] == "too_few"


def test_a_partly_marked_image_is_left_out(tmp_path: Path) -> None:
    store(tmp_path, images())
    judge(tmp_path, verdicts(range(40)))
    judge(tmp_path, [Verdict(f"p{place}", "false_positive", 0) for place in range(40, 60)])
    report = show(tmp_path, assume_random=True)
    assert report.precision.value == 70 / 80
    assert report.reviewed.partly_marked == 20
    assert "partly_marked" in told(report)


# --- a census ------------------------------------------------------------------------------------------------------


def test_census_counts_images_that_nobody_marked_as_empty(tmp_path: Path) -> None:
    store(tmp_path, images())
    store(tmp_path, images(30, boxes=()))
    judge(tmp_path, verdicts(range(60)))
    judge(tmp_path, [Verdict(f"p{place}", "missed_object", scope="exhaustive") for place in range(0, 60, 6)])
    report = show(tmp_path)
    assert report.basis == "census"
    assert report.recall
    assert report.recall.value == 105 / 115
    assert report.errors["missed_object"].value == pytest.approx(10 / 90)
    assert report.errors["missed_object"].n == 90
    assert report.reviewed.images == 90
    assert report.reviewed.complete == 60
    assert report.f1 == pytest.approx(2 * (105 / 120) * (105 / 115) / (105 / 120 + 105 / 115))


def test_the_newest_verdict_counts_and_a_good_enough_box_is_correct(tmp_path: Path) -> None:
    store(tmp_path, images(40, [("car", 0.9)]))
    judge(tmp_path, [Verdict(f"p{place}", "false_positive", 0, "exhaustive") for place in range(40)])
    judge(tmp_path, [Verdict(f"p{place}", "correct", 0, "exhaustive", ts=5) for place in range(20)])
    near, far = (0.0, 0.0, 1.0, 1.6), (0.0, 0.0, 1.0, 2.5)  # the stored box is 1 by 1: IoU 0.625 and 0.4
    boxes = [(place, near if place < 30 else far) for place in range(20, 40)]
    judge(tmp_path, [Verdict(f"p{p}", "wrong_box", 0, "exhaustive", ts=5, box=box) for p, box in boxes])
    report = show(tmp_path)
    assert report.precision.value == 30 / 40
    assert report.errors["wrong_box"].value == 10 / 40
    assert report.errors["false_positive"].value == 0
    assert report.recall
    assert report.recall.value == 30 / 40


def test_confusion_and_classes(tmp_path: Path) -> None:
    store(tmp_path, images(40, [("car", 0.9)]))
    kinds = [("correct", None), ("wrong_label", "truck"), ("wrong_label", None), ("false_positive", None)]
    chosen = [(place, *kinds[place % 4]) for place in range(40)]
    judge(tmp_path, [Verdict(f"p{place}", kind, 0, "exhaustive", label) for place, kind, label in chosen])
    report = show(tmp_path)
    assert [(one.label, one.true_label, one.n, one.share) for one in report.confusion] == [
        ("car", None, 10, 0.25),
        ("car", "car", 10, 0.25),
        ("car", "truck", 10, 0.25),
    ]
    car, truck = report.classes
    assert car.precision
    assert (car.precision.value, car.detections, car.objects, car.recall) == (0.25, 40, 10, None)
    assert (truck.label, truck.precision, truck.objects) == ("truck", None, 10)
    assert report.recall
    assert report.recall.value == 10 / 30  # a wrong label is an object not found


# --- a sample ------------------------------------------------------------------------------------------------------


def mixed(number: int = 400) -> list[Row]:
    """Half of the images have a box of low confidence."""
    scores = [0.9 if place % 4 < 2 else 0.4 for place in range(number)]
    return [
        Row(at(place * 10 * DAY / number), source=f"cam-{place % 2 + 1}", boxes=[("car", score)])
        for place, score in enumerate(scores)
    ]


def wrong_when_low(folder: Path, number: int = 400, share: float = 1.0) -> dict[str, float]:
    """All (or a share) of the selected images reviewed: boxes of low confidence are wrong, the others right."""
    store(folder, mixed(number))
    engine(folder, 0.1)
    chosen = items(folder)
    reviewed = sorted(chosen)[: round(len(chosen) * share)]
    judge(
        folder,
        [Verdict(p, "correct" if int(p[1:]) % 4 < 2 else "false_positive", 0, "exhaustive") for p in reviewed],
    )
    return chosen


def test_weights_undo_the_selection(tmp_path: Path) -> None:
    chosen = wrong_when_low(tmp_path)
    low = sum(int(name[1:]) % 4 >= 2 for name in chosen)
    high = len(chosen) - low
    assert low > 3 * high  # the naive share is far off
    report = show(tmp_path)
    assert report.basis == "sample"
    assert report.dataset == "review"
    assert report.precision.value == pytest.approx(high / 0.1 / (high / 0.1 + low / 0.5))
    assert report.precision.low is not None
    assert report.precision.high is not None
    assert report.precision.low < 0.5 < report.precision.high
    assert report.reviewed.counted == len(chosen)
    assert not report.reasons or {reason.code for reason in report.reasons} <= {"too_few"}


def test_volunteers_are_never_pooled(tmp_path: Path) -> None:
    chosen = wrong_when_low(tmp_path)
    before = show(tmp_path)
    others = [f"p{place}" for place in range(400) if f"p{place}" not in chosen][:50]
    judge(tmp_path, [Verdict(name, "false_positive", 0, "exhaustive") for name in others])
    after = show(tmp_path)
    assert after.precision == before.precision
    assert after.volunteered.images == after.volunteered.false_positive == 50


def test_without_a_random_sample_reviews_speak_for_flagged_images(detmon: Shell) -> None:
    store(detmon.folder, mixed())
    engine(detmon.folder, random=False)
    judge(detmon.folder, [Verdict(name, "false_positive", 0, "exhaustive") for name in items(detmon.folder)])
    found = refused(detmon)
    assert found["precision"]["value"] is found["recall"] is None
    assert found["basis"] == "flagged"
    assert found["of_flagged_images"]["precision"]["value"] == 0
    refuses = next(reason["refuses"] for reason in found["reasons"] if reason["code"] == "flagged_only")
    assert {"precision", "recall", "false_positive", "missed_object", "expected_precision"} <= set(refuses)
    assert found["errors"]["false_positive"] is None
    assert "Of the flagged images" in detmon("quality", "show", "--model", "m").out


def test_a_census_of_boxes_leaves_recall_to_the_sample(tmp_path: Path) -> None:
    """All boxes are judged, but only flagged images were looked at as a whole: no recall of the period."""
    store(tmp_path, mixed())
    engine(tmp_path, random=False)
    chosen = items(tmp_path)
    scopes = [(f"p{n}", "exhaustive" if f"p{n}" in chosen else "boxes_only") for n in range(400)]
    judge(tmp_path, [Verdict(name, "correct", 0, scope) for name, scope in scopes])
    report = show(tmp_path, by="source")
    assert (report.basis, report.precision.value, report.recall, report.of_flagged_images) == ("census", 1, None, None)
    assert codes(report, "recall") == ["flagged_only"]
    assert codes(report, "precision") == []
    assert report.sources
    assert {source.recall for source in report.sources} == {None}
    assert {one.recall for one in report.classes} == {None}


def test_an_unreviewed_rate_and_few_answers(tmp_path: Path) -> None:
    chosen = wrong_when_low(tmp_path, share=0.6)
    report = show(tmp_path)
    assert "low_response" in told(report)
    with Store(tmp_path / "detmon.duckdb").writing() as con, transaction(con):
        rare = [name for name, pi in chosen.items() if pi == 0.1]
        con.execute("DELETE FROM feedback WHERE prediction_id IN (SELECT unnest($names))", {"names": rare})
    assert codes(show(tmp_path), "precision") == ["rate_without_reviews"]


def test_images_without_a_box_need_no_review_for_precision(tmp_path: Path) -> None:
    """Empty images all lie in the stratum of the random sample: taken for unanswered they would double its weight."""
    rows = mixed()
    empty = [Row(row.ts, source=row.source) for row in mixed()]
    store(tmp_path, rows)
    store(tmp_path, empty)
    engine(tmp_path, 0.3)
    chosen = {name: pi for name, pi in items(tmp_path).items() if int(name[1:]) < 400}
    good = {name for name in chosen if int(name[1:]) % 4 < 2}
    judge(
        tmp_path,
        [Verdict(name, "correct" if name in good else "false_positive", 0, "exhaustive") for name in chosen],
    )
    report = show(tmp_path)
    right = len(good) / 0.3
    assert report.precision.value == pytest.approx(right / (right + (len(chosen) - len(good)) / 0.5))
    assert "low_response" in told(report)  # recall has to take them for images like the others
    judge(tmp_path, [Verdict(name, "correct", scope="exhaustive") for name in items(tmp_path) if name not in chosen])
    assert "low_response" not in told(show(tmp_path))


def test_the_part_that_the_engine_has_not_scanned(tmp_path: Path) -> None:
    wrong_when_low(tmp_path)
    later = [Row(at(11 * DAY + place * 60), boxes=[("car", 0.9)], batch=2) for place in range(100)]
    store(tmp_path, later)
    report = show(tmp_path)
    assert "partial_coverage" in told(report)
    assert report.precision.value is not None


def test_unknown_denominator_has_no_rate_per_image(tmp_path: Path) -> None:
    store(tmp_path, [Row(row.ts, source=row.source, boxes=row.boxes, batch=2) for row in images()])
    judge(tmp_path, verdicts(range(60)))
    report = show(tmp_path)
    assert codes(report, "missed_object") == ["denominator_unknown"]
    assert report.errors["missed_object"] is None
    assert report.recall


def test_sources(tmp_path: Path) -> None:
    store(tmp_path, images(100))
    judge(tmp_path, verdicts(range(100)))
    report = show(tmp_path, by="source")
    assert report.sources
    assert [(one.source, one.images, one.precision.n) for one in report.sources] == [
        ("cam-1", 50, 100),
        ("cam-2", 50, 100),
    ]
    assert report.sources[0].precision.value == 0.75
    assert report.sources[1].precision.value == 1


# --- what confidences let expect -----------------------------------------------------------------------------------


def scored(folder: Path, days: int, reviewed: int, *, worse_from: int = 1000, per_day: int = 12) -> None:
    """Boxes as often right as their score says, until the day `worse_from`; those of the first days are reviewed."""
    rng = np.random.default_rng(7)
    scores = rng.choice([0.3, 0.5, 0.7, 0.9], (days * per_day, 3))
    rows = [
        Row(at(n * DAY / per_day), source="cam-1", boxes=[("car", score) for score in row])
        for n, row in enumerate(scores.tolist())
    ]
    store(folder, rows)
    chance = rng.random(scores.shape)
    right = (chance < scores) & (np.arange(days * per_day)[:, None] < worse_from * per_day)
    places = [(n, box) for n in range(reviewed * per_day) for box in range(3)]
    judge(
        folder,
        [Verdict(f"p{n}", "correct" if right[n, box] else "false_positive", box, "exhaustive") for n, box in places],
    )


def days(first: int, last: int) -> str:
    return f"{text(first * DAY)}/{text(last * DAY)}"


def test_precision_is_expected_between_reviews(tmp_path: Path) -> None:
    scored(tmp_path, 40, 30)
    report = show(tmp_path, period=days(30, 40), assume_random=True)
    assert report.precision.value is None
    assert codes(report, "precision") == ["no_feedback"]
    said = report.expected_precision
    assert said
    assert said.low < 0.6 < said.high
    assert (said.method, said.boxes, said.reviewed_boxes, said.check) == ("isotonic", 360, 1080, "passed")
    assert 9 < said.age_days < 11


def test_it_is_silent_when_reviews_are_old(tmp_path: Path) -> None:
    scored(tmp_path, 70, 30)
    report = show(tmp_path, period=days(60, 70), assume_random=True)
    assert report.expected_precision is None
    assert codes(report, "expected_precision")[-1] == "feedback_too_old"


def test_it_is_silent_when_scores_mean_something_else_now(tmp_path: Path) -> None:
    scored(tmp_path, 40, 40, worse_from=30)
    report = show(tmp_path, assume_random=True)
    assert report.expected_precision is None
    assert codes(report, "expected_precision") == ["calibration_changed"]
    assert report.precision.value
    assert show(tmp_path, period=days(0, 30), assume_random=True).expected_precision


@pytest.mark.parametrize(("boxed", "check"), [(40, "passed"), (0, "not checked")])
def test_days_without_boxes_check_nothing(tmp_path: Path, boxed: int, check: str) -> None:
    car = [("car", 0.8)] * 3
    rows = [Row(at(n * 60), source="cam-1", boxes=car) for n in range(60)]  # all of the old ones in one hour
    rows += [Row(at((1 + n) * DAY), source="cam-1") for n in range(20)]
    rows += [Row(at((20 + n / 4) * DAY), source="cam-1", boxes=car if n < boxed else []) for n in range(40)]
    store(tmp_path, rows)
    right = ["correct" if n % 4 else "false_positive" for n in range(len(rows))]
    judge(tmp_path, [Verdict(f"p{n}", right[n], box) for n, row in enumerate(rows) for box in range(len(row.boxes))])
    said = show(tmp_path).expected_precision
    assert said
    assert said.check == check


def test_few_reviews_expect_nothing(tmp_path: Path) -> None:
    scored(tmp_path, 20, 3)
    assert codes(show(tmp_path, assume_random=True), "expected_precision") == ["too_few"]


def test_reviews_that_are_hardly_enough_are_no_certainty(tmp_path: Path) -> None:
    scored(tmp_path, 20, 4, per_day=13)
    said = show(tmp_path, assume_random=True).expected_precision
    assert said
    assert (said.method, said.reviewed_boxes, said.check) == ("platt", 156, "not checked")
    assert said.high - said.low > 0.1


def test_a_period_without_boxes_has_no_expected_precision(tmp_path: Path) -> None:
    scored(tmp_path, 20, 20)
    store(tmp_path, [Row(at(22 * DAY + n), source="cam-1") for n in range(50)])
    report = show(tmp_path, period=days(22, 23), assume_random=True)
    assert report.expected_precision is None
    assert codes(report, "expected_precision")[-1] == "no_boxes"


def test_boxes_without_a_score_have_no_expected_precision(tmp_path: Path) -> None:
    scored(tmp_path, 30, 20)
    store(tmp_path, [Row(at(29.5 * DAY), source="cam-1", boxes=[("car", None)])])
    report = show(tmp_path, assume_random=True)
    assert codes(report, "expected_precision") == ["no_confidence"]


# --- several engines, few days -------------------------------------------------------------------------------------


def test_the_engine_with_most_reviews_counts(tmp_path: Path) -> None:
    chosen = wrong_when_low(tmp_path)
    client = Client(tmp_path / "detmon.duckdb", now="2024-06-01T00:00:00Z")
    other = client.create_dataset("other")
    config = {"random_sample": {"enabled": True, "rate": 0.2}, "salt": "other"}
    client.configure_data_engine(model_id="m", config=config, target_dataset_id=other.id)
    client.run_data_engine(model_id="m")
    report = show(tmp_path)
    assert report.dataset == "review"
    assert report.reviewed.counted == len(chosen)
    assert "several_engines" in told(report)
    named = show(tmp_path, dataset="other")
    assert named.dataset == "other"
    assert named.reviewed.counted < len(chosen)
    assert named.volunteered.images > 0


def test_two_days_are_too_few_witnesses_of_more(tmp_path: Path) -> None:
    store(tmp_path, images(60, days=2))
    with_hours = show_all(tmp_path)
    assert "few_clusters" not in told(with_hours)
    near = tmp_path / "near"
    near.mkdir()
    store(near, [Row(at(n), source="cam-1", boxes=BOXES) for n in range(60)])
    report = show_all(near)
    assert "few_clusters" in told(report)
    assert report.precision.clusters is None


def show_all(folder: Path) -> QualityReport:
    judge(folder, verdicts(range(60)))
    return show(folder)


# --- for people ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["text", "markdown"])
def test_the_report_for_people(detmon: Shell, format: str) -> None:
    store(detmon.folder, images())
    engine(detmon.folder, 0.5)
    chosen = items(detmon.folder)
    mark = [verdict for verdict in verdicts(range(60)) if verdict.prediction in chosen]
    corrected = Verdict("p3", "wrong_label", 0, "exhaustive", "truck", ts=3)
    others = [f"p{place}" for place in range(60) if f"p{place}" not in chosen]
    judge(detmon.folder, [*mark, corrected, *(Verdict(name, index=0) for name in others[:3])])
    lines = detmon("quality", "show", "--model", "m", "--by", "source", "--format", format).out.splitlines()
    shown = "".join(line.rstrip() + "\n" for line in lines)
    golden = Path(__file__).parent / "golden" / {"text": "quality.txt", "markdown": "quality.md"}[format]
    assert shown == golden.read_text("utf-8")


def test_the_report_as_a_page(detmon: Shell) -> None:
    store(detmon.folder, images(60, [("<script>alert(1)</script>", 0.9)]))
    judge(detmon.folder, [Verdict(f"p{place}", index=0, scope="exhaustive") for place in range(60)])
    page = detmon("quality", "show", "--model", "m", "--format", "html").out
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "Precision 1.000" in page


# --- wrong input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("iou = 2", "iou = 2"),
        ("iou = true", "iou = True"),
        ("background_iou = 0.6", "is not below"),
        ("min_images = 0", "min_images = 0"),
        ("min_detections = 2.5", "min_detections = 2.5"),
        ('assume_random = "yes"', "assume_random"),
        ("minimages = 3", "did you mean 'min_images'"),
    ],
)
def test_settings_are_checked(detmon: Shell, setting: str, complaint: str) -> None:
    store(detmon.folder, images(3))
    (detmon.folder / "detmon.toml").write_text(f"[quality]\n{setting}\n", "utf-8")
    assert complaint in detmon("quality", "show", "--model", "m", code=2).err


def test_unknown_names_are_refused(detmon: Shell) -> None:
    store(detmon.folder, images(3))
    assert "unknown model 'n'" in detmon("quality", "show", "--model", "n", code=2).err
    assert "--by label" not in detmon("quality", "show", "--model", "m", "--by", "colour", code=2).err
    assert "unknown dataset" in detmon("quality", "show", "--model", "m", "--dataset", "x", code=2).err
    assert "--ground-truth" in detmon("quality", "show", "--model", "m", "--min-confidence", 0.5, code=2).err
