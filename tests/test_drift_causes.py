"""Drift that is not the world's: the check says what the data show, and nothing where they do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from detmon import Client, demo

WORLD = demo.World(start=datetime(2026, 10, 5), days=21, cameras=4, seconds=900, bad_days=0)
Change = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


@dataclass
class Logs:
    """Two weeks and the week after them; a check of them, when each row of the second was changed."""

    folder: Path
    rows: list[list[dict[str, Any]]]
    schema: pa.Schema

    def check(self, current: Change, reference: Change = lambda rows: rows, **options: Any) -> Any:
        paths = []
        for name, rows, change in (("reference", self.rows[0], reference), ("current", self.rows[1], current)):
            paths.append(self.folder / f"{name}.parquet")
            copied = [{**row, "detections": [dict(box) for box in row["detections"]]} for row in rows]
            parquet.write_table(pa.Table.from_pylist(change(copied), self.schema), paths[-1])
        return Client().check_drift(reference_log=paths[0], current_log=paths[1], **options)


@pytest.fixture(scope="module")
def fleet() -> tuple[list[list[dict[str, Any]]], pa.Schema]:
    tables = [table for _, table in demo.days_of(WORLD)]
    schema = tables[0].schema.append(pa.field("status", pa.string()))
    return [pa.concat_tables(some).to_pylist() for some in (tables[:14], tables[14:])], schema


@pytest.fixture
def logs(tmp_path: Path, fleet: tuple[list[list[dict[str, Any]]], pa.Schema]) -> Logs:
    return Logs(tmp_path, *fleet)


def boxes(change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Change:
    """A change of every box; None takes it away."""

    def changed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            {**row, "detections": [new for box in row["detections"] if (new := change(box)) is not None]}
            for row in rows
        ]

    return changed


def fields(**values: Any) -> Change:
    return lambda rows: [{**row, **values} for row in rows]


def both(first: Change, second: Change) -> Change:
    return lambda rows: second(first(rows))


def codes(found: Any) -> set[str]:
    return {warning.code for warning in found.warnings}


CAUSES = {
    "confidence_floor_differs", "confidence_floor_moved", "score_scale_changed", "labels_renamed", "different_models",
    "source_mix_changed", "sources_replaced", "sources_differ", "boxes_capped", "denominator_changed",
    "confidence_missing",
}  # fmt: skip
nothing = boxes(lambda box: box)
unlogged = fields(confidence_floor=None)
above_half = boxes(lambda box: box if box["confidence"] >= 0.5 else None)


def test_nothing_changed_names_nothing(logs: Logs) -> None:
    found = logs.check(nothing)
    assert not found.significant_drift
    assert not codes(found) & CAUSES


def test_a_logged_floor_is_cut_in_both_and_named(logs: Logs) -> None:
    found = logs.check(both(above_half, fields(confidence_floor=0.5)))
    assert codes(found) & CAUSES == {"confidence_floor_differs"}
    assert found.significant_drift is False
    assert found.effects["low_confidence_rate"].reference == 0
    assert sum(found.histograms["confidence"].reference[:5]) == 0


def test_an_unlogged_floor_is_named(logs: Logs) -> None:
    found = logs.check(both(above_half, unlogged), unlogged)
    assert found.significant_drift
    assert codes(found) & CAUSES == {"confidence_floor_moved"}


def test_less_confidence_is_no_floor(logs: Logs) -> None:
    found = logs.check(both(boxes(lambda box: {**box, "confidence": box["confidence"] ** 1.5}), unlogged), unlogged)
    assert found.significant_drift
    assert "confidence_floor_moved" not in codes(found)


@pytest.mark.parametrize("power", [0.5, 2])
def test_scores_on_another_scale_are_no_floor(logs: Logs, power: float) -> None:
    """A log that was cut, on another scale: its lowest score has moved, but the others have, too."""
    rescaled = boxes(lambda box: {**box, "confidence": box["confidence"] ** power})
    cut = both(above_half, unlogged)
    assert codes(logs.check(both(cut, rescaled), cut)) & CAUSES == {"score_scale_changed"}


def test_another_scale_of_all_scores_is_named(logs: Logs) -> None:
    found = logs.check(boxes(lambda box: {**box, "confidence": box["confidence"] ** 2}))
    assert found.significant_drift
    assert codes(found) & CAUSES == {"score_scale_changed"}


def test_rounded_scores_are_named(logs: Logs) -> None:
    found = logs.check(boxes(lambda box: {**box, "confidence": round(box["confidence"], 2)}))
    assert codes(found) & CAUSES == {"score_scale_changed"}


@pytest.mark.parametrize(
    ("rename", "said"),
    [
        (str.upper, "car → CAR"),
        (lambda label: "pedestrian" if label == "person" else label, "person → pedestrian"),
        (lambda label: str(demo.CLASSES.index(label)), "car → 0"),
        (lambda label: "car", " → car?"),
        (lambda label: label if label == "truck" else "car", " → car?"),
        (lambda label: "object", "All labels are other ones (object)"),
    ],
)
def test_renamed_labels_are_named(logs: Logs, rename: Callable[[str], str], said: str) -> None:
    found = logs.check(boxes(lambda box: {**box, "label": rename(box["label"])}))
    assert found.significant_drift
    (cause,) = [warning for warning in found.warnings if warning.code == "labels_renamed"]
    assert said in cause.message


def test_names_in_another_language_are_named(logs: Logs) -> None:
    """No share tells which is which, but as many are gone as are new."""

    def translated(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        names = {"car": ("coche", "turismo"), "person": ("persona", "peatón")}
        for number, row in enumerate(rows):
            for box in row["detections"]:
                box["label"] = names.get(box["label"], (box["label"],) * 2)[number % 10 > 6]
        return rows

    (cause,) = [warning for warning in logs.check(translated).warnings if warning.code == "labels_renamed"]
    assert "car, person → " in cause.message


def test_classes_that_fall_below_a_threshold_are_not_renamed(logs: Logs) -> None:
    found = logs.check(both(boxes(lambda box: box if box["label"] == "car" else None), unlogged), unlogged)
    assert found.gone_classes
    assert "labels_renamed" not in codes(found)


def test_another_model_is_named(logs: Logs) -> None:
    found = logs.check(fields(model_id="vehicles@4"))
    assert codes(found) & CAUSES == {"different_models"}
    assert found.model_id is None


def test_other_shares_of_the_sources_are_named(logs: Logs) -> None:
    found = logs.check(lambda rows: [row for row in rows if row["source"] in ("cam-1", "cam-2")])
    assert "source_mix_changed" in codes(found)
    assert found.source_mix.drift > 0.3
    assert found.source_mix.class_drift_same_mix < found.class_drift


def test_a_camera_that_stopped_is_named(logs: Logs) -> None:
    """What is left is less confident, as the others always were."""
    vague = ("cam-1", "cam-2")

    def uneven(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for row in rows:
            for box in row["detections"]:
                box["confidence"] *= 0.3 if row["source"] in vague else 1
        return rows

    stop = datetime.fromisoformat("2026-10-20T00:00:00+00:00")
    stopped = both(lambda rows: [row for row in rows if row["source"] != "cam-3" or row["timestamp"] < stop], uneven)
    found = logs.check(stopped, uneven)
    assert found.silent_sources == ("cam-3",)
    assert found.significant_drift
    assert "source_silent" in codes(found)


def test_a_class_that_grew_in_every_source_is_no_mix(logs: Logs) -> None:
    def grown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            {**row, "detections": [*row["detections"], *(box for box in row["detections"] if box["label"] == "truck")]}
            for row in rows
        ]

    found = logs.check(grown)
    assert found.affected_classes[0] == "truck"
    assert not codes(found) & CAUSES


def test_the_best_few_are_named(logs: Logs) -> None:
    def capped(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        spare = {"label": "car", "confidence": 0.06, "bbox": {"x": 1.0, "y": 1.0, "w": 9.0, "h": 9.0}}
        return [{**row, "detections": [*row["detections"], *[spare] * 5][:5]} for row in rows]

    assert "boxes_capped" in codes(logs.check(capped))


def test_the_best_few_are_named_where_most_images_have_fewer(logs: Logs) -> None:
    best = [{**row, "detections": row["detections"][:4]} for row in logs.rows[1]]
    found = logs.check(lambda rows: best)
    assert codes(found) & CAUSES == {"boxes_capped"}


def test_few_images_name_no_cause(logs: Logs) -> None:
    """A single image has some number of boxes; that is no cap."""
    found = logs.check(lambda rows: [row for row in rows if len(row["detections"]) > 2][:1])
    assert found.reason_code == "too_few_predictions"
    assert not codes(found) & (CAUSES - {"source_mix_changed", "sources_differ"})


def test_a_model_that_sees_nothing_is_drift(logs: Logs) -> None:
    """Images with many boxes in the reference do not mean that empty ones are not logged."""
    crowded = [row for row in logs.rows[0] if len(row["detections"]) > 2]
    found = logs.check(fields(detections=[]), lambda rows: crowded)
    assert found.significant_drift
    assert "denominator_changed" not in codes(found)


def test_boxes_without_confidence_are_named(logs: Logs) -> None:
    """They are left out of the confidences, which must not fall for it."""

    def unscored(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for row in rows:
            for box in row["detections"][::2]:
                box["confidence"] = None
        return rows

    found = logs.check(unscored)
    assert found.significant_drift is False
    assert codes(found) & CAUSES == {"confidence_missing"}
    assert found.effects["avg_confidence"].current > 0.5


def test_unnamed_sources_are_not_other_ones(logs: Logs) -> None:
    found = logs.check(fields(source=None))
    assert found.significant_drift is False
    assert found.source_mix.drift is None
    assert not codes(found) & CAUSES


@pytest.mark.parametrize("change", [lambda rows: [], fields(status="error", detections=[])])
def test_a_log_without_predictions_is_no_verdict(logs: Logs, change: Change) -> None:
    found = logs.check(change)
    assert (found.significant_drift, found.reason_code, found.exit_code) == (None, "no_predictions", 3)
    assert found.current_period == "no predictions"
    assert logs.check(lambda rows: rows, change).reason_code == "no_predictions"


def test_empty_images_that_are_no_longer_logged_are_named(logs: Logs) -> None:
    found = logs.check(lambda rows: [row for row in rows if row["detections"]])
    assert "denominator_changed" in codes(found)


def test_an_unknown_denominator_compares_no_rates(logs: Logs) -> None:
    import duckdb

    logs.check(nothing)
    flat = []
    for name in ("reference", "current"):
        flat.append(logs.folder / f"{name}.csv")
        duckdb.sql(
            f"""COPY (SELECT model_id, timestamp, image_id, source, d.label AS label, d.confidence AS confidence,
            d.bbox.x AS x1, d.bbox.y AS y1, d.bbox.x + d.bbox.w AS x2, d.bbox.y + d.bbox.h AS y2
            FROM (SELECT *, unnest(detections) AS d FROM '{logs.folder / name}.parquet')) TO '{flat[-1]}'"""
        )
    found = Client().check_drift(reference_log=flat[0], current_log=flat[1])
    assert found.count_drift is None
    assert found.effects["no_detection_rate"].reference is None
    assert "denominator_unknown" in codes(found)
    assert found.confidence_drift is not None
    assert found.significant_drift is False
    mixed = Client().check_drift(reference_log=flat[0], current_log=logs.folder / "current.parquet")
    assert "denominator_changed" in codes(mixed)


def test_hostile_labels_stay_text(detmon: Any, logs: Logs) -> None:
    hostile = "<b>|[x](javascript:1)@all"
    found = logs.check(boxes(lambda box: {**box, "label": hostile if box["label"] == "car" else box["label"]}))
    assert hostile in found.new_classes
    args = ("drift", "check", "--reference-log", logs.folder / "reference.parquet", "--current-log")
    for format in ("text", "markdown", "html"):
        out = detmon(*args, logs.folder / "current.parquet", "--format", format).out
        assert "javascript" in out
        if format != "text":
            assert "<b>" not in out
            assert "[x](javascript" not in out or format == "html"


def test_slower_cameras_are_no_drift(logs: Logs) -> None:
    """Half of the images is not another world."""
    found = logs.check(lambda rows: [row for number, row in enumerate(rows) if number // WORLD.cameras % 2])
    assert found.significant_drift is False
    assert not codes(found) & CAUSES
