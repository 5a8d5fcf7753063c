"""Where two models disagree about an image."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Shell
from test_engine import configure, image, ingest, items, run

CAR = ("car", 0.9, 100, 100, 100, 100)
BUS = ("bus", 0.9, 100, 100, 100, 100)
SHIFTED = ("car", 0.9, 120, 100, 100, 100)
FAR = ("car", 0.9, 500, 500, 100, 100)
FAINT = ("car", 0.2, 700, 700, 100, 100)


def other(**fields: Any) -> dict[str, Any]:
    return {"other_model": "other", **fields}


@pytest.mark.parametrize(
    ("mine", "theirs", "fields", "held"),
    [
        ([CAR], [CAR], {}, False),
        ([CAR], [SHIFTED], {}, False),
        ([CAR], [SHIFTED], {"iou": 0.7}, True),
        ([CAR], [BUS], {}, True),
        ([CAR], [FAR], {}, True),
        ([CAR], [], {}, True),
        ([], [CAR], {}, True),
        ([], [], {}, False),
        ([CAR, FAR], [FAR, CAR], {}, False),
        ([CAR, CAR], [CAR], {}, True),
        ([CAR, SHIFTED], [SHIFTED, CAR], {}, False),
        ([CAR, CAR, FAR], [CAR, FAR, FAR], {}, True),
        ([CAR, FAINT], [CAR], {}, True),
        ([CAR, FAINT], [CAR], {"min_confidence": 0.3}, False),
    ],
)
def test_boxes_need_partners(detmon: Shell, mine: Any, theirs: Any, fields: Any, held: bool) -> None:
    ingest(detmon, [image(0, mine), image(0, theirs, model="other")])
    configure(detmon, disagreement=other(**fields))
    assert run(detmon)["by_reason"] == ({"disagreement": 1} if held else {})
    assert set(items(detmon)) == ({"m-0"} if held else set())


def test_only_the_same_image_of_the_same_source_counts(detmon: Shell) -> None:
    records = [image(0, [CAR]), image(0, [], model="other", source="cam-2"), image(1, [CAR]), image(2, [CAR])]
    ingest(detmon, [*records, image(2, [CAR], model="other", status="error")])
    configure(detmon, disagreement=other())
    assert run(detmon)["flagged"] == 0


def test_greedy_matching_takes_the_best_overlap_first(detmon: Shell) -> None:
    """A at 0 and 30, B at 10 and -40: A0-B10 comes first, and leaves A30 without B-40, which A0 could have had."""
    mine = [("car", 0.9, 100 + x, 0, 100, 100) for x in (0, 30)]
    theirs = [("car", 0.9, 100 + x, 0, 100, 100) for x in (10, -40)]
    ingest(detmon, [image(0, mine), image(0, theirs, model="other")])
    configure(detmon, disagreement=other(iou=0.4))
    assert run(detmon)["flagged"] == 1


def test_a_partner_that_arrives_later_is_found(detmon: Shell) -> None:
    ingest(detmon, [image(n, [CAR]) for n in range(60)])
    detmon("model", "register", "other")
    configure(detmon, disagreement=other(rate=0.5), random_sample={"rate": 0.1})
    first = run(detmon)
    before = items(detmon)
    ingest(detmon, [image(n, [CAR] if n % 2 else [BUS], model="other") for n in range(60)], "other.jsonl")
    second = run(detmon)
    after = items(detmon)
    assert second["scanned"] == 0  # the model's own predictions were scanned before
    assert second["flagged"] + first["flagged"] == len(after)
    assert second["by_reason"]["disagreement"] == second["flagged"] > 5
    assert before.keys() <= after.keys()
    for name, item in after.items():
        disagrees = int(name.removeprefix("m-")) % 2 == 0
        assert ("disagreement" in item["reasons"]) == disagrees
        assert item["inclusion_probability"] == (0.5 if disagrees else 0.1)
    assert run(detmon)["scanned"] == 0
    assert items(detmon) == after


def test_the_order_of_arrival_does_not_matter(detmon: Shell) -> None:
    mine = [image(n, [CAR]) for n in range(40)]
    theirs = [image(n, [CAR] if n % 3 else [], model="other") for n in range(40)]
    told = {"disagreement": other(rate=0.6), "random_sample": {"rate": 0.1}}
    found = []
    for name, parts in (("a", [mine, theirs]), ("b", [theirs, mine]), ("c", [mine + theirs])):
        detmon.monkeypatch.setenv("DETMON_DB", f"{name}.duckdb")
        detmon("model", "register", "m")
        detmon("model", "register", "other")
        configure(detmon, **told)
        for number, part in enumerate(parts):
            ingest(detmon, part, f"{name}{number}.jsonl")
            run(detmon)
        found.append({key: item["inclusion_probability"] for key, item in items(detmon).items()})
    assert found[0] == found[1] == found[2]
    assert len(found[0]) > 3
