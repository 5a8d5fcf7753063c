"""Verdicts: which of them count, and which images they review."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stored import Row, at, store
from verdicts import Verdict, judge

from detmon.store import Store, statement

BOXES = [("car", 0.9), ("person", 0.6), ("car", 0.3)]


def ask(folder: Path, query: str, **values: Any) -> list[tuple[Any, ...]]:
    with Store(folder / "detmon.duckdb").reading() as con:
        return con.execute(query, values).fetchall()


def reviewed(folder: Path) -> dict[str, tuple[int, int, bool]]:
    """Images that have a verdict: served, judged, complete."""
    found = ask(folder, statement("reviewed_images"), model="m", start=at(0), end=at(3600))
    return {row[0]: (row[9], row[4], row[10]) for row in found}


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


def test_an_image_is_reviewed_when_all_served_boxes_are(tmp_path: Path) -> None:
    rows = [Row(at(0), boxes=BOXES), Row(at(1), boxes=BOXES), Row(at(2), boxes=BOXES), Row(at(3))]
    store(tmp_path, rows)
    judge(tmp_path, [Verdict("p0", index=0), Verdict("p1", index=0), Verdict("p1", "false_positive", index=1)])
    judge(tmp_path, [Verdict("p2", "missed_object", scope="exhaustive"), Verdict("p3")])
    expected = {"p0": (2, 1, False), "p1": (2, 2, True), "p2": (2, 0, True), "p3": (0, 0, True)}
    assert reviewed(tmp_path) == expected  # nobody judged a box of 0.3: it was not served
    judge(tmp_path, [Verdict("p0", "missed_object", reviewer="a", scope="exhaustive")])
    judge(tmp_path, [Verdict("p0", "missed_object", reviewer="a", ts=1)])  # the later word of this reviewer
    assert reviewed(tmp_path)["p0"] == (2, 1, False)
