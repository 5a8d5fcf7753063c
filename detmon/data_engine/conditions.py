"""The conditions under which a prediction may be selected, as SQL over its columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from detmon.data_engine import disagreement
from detmon.data_engine.settings import just_below
from detmon.data_engine.taken import USUAL_AREA, Taken

RANDOM = "random_sample"
_LABELS = "list_transform(p.detections, lambda d: d.label)"


@dataclass(frozen=True)
class Condition:
    """One condition: the reason it gives, the rate it offers, and when it holds."""

    name: str
    rate: float
    sql: str
    """A Boolean over the columns of predictions `p`; NULL counts as false."""
    reads: tuple[str, ...] = ()
    """The columns that it reads, beside the ids."""
    values: Mapping[str, Any] = field(default_factory=dict)


def conditions(config: Mapping[str, Any], taken: Taken | None) -> list[Condition]:
    """The conditions of the strategies that are on and have a rate, in the order in which reasons are listed."""
    named = [
        *_low_confidence(config),
        *_edge_cases(config, taken),
        *_classes(config, taken),
        *_disagreement(config),
        *_random(config),
    ]
    return [one for one in named if one.rate > 0]


def _low_confidence(config: Mapping[str, Any]) -> list[Condition]:
    said = config["low_confidence"]
    if not said["enabled"]:
        return []
    values = {"low_confidence": just_below(said["threshold"])}
    sql = "CAST(p.confidence_min AS DOUBLE) < $low_confidence"
    return [Condition("low_confidence", said["sample_rate"], sql, ("confidence_min",), values)]


def _edge_cases(config: Mapping[str, Any], taken: Taken | None) -> list[Condition]:
    said = config["edge_cases"]
    if not said["enabled"]:
        return []
    low, high = (taken.min_area, taken.max_area) if taken else USUAL_AREA
    areas = {
        "min_area": low if said["min_area"] is None else said["min_area"],
        "max_area": high if said["max_area"] is None else said["max_area"],
    }
    known: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
        "no_detections": ("p.n_detections = 0", ("n_detections",), {}),
        "high_density": (
            "(p.n_detections >= $min_detections AND p.max_iou >= CAST($overlap AS FLOAT))",
            ("n_detections", "max_iou"),
            {"min_detections": said["min_detections"], "overlap": said["overlap"]},
        ),
        "unusual_size": (
            "(p.area_min < CAST($min_area AS FLOAT) OR p.area_max > CAST($max_area AS FLOAT))",
            ("area_min", "area_max"),
            areas,
        ),
    }
    return [Condition(name, said["rate"], *known[name]) for name in said["conditions"]]


def _classes(config: Mapping[str, Any], taken: Taken | None) -> list[Condition]:
    if taken is None:  # nothing is known of the model's classes yet: none is rare, none is new
        return []
    found = []
    rare, new = config["rare_classes"], config["new_classes"]
    if rare["enabled"]:
        sql = f"list_has_any({_LABELS}, CAST($rare_classes AS VARCHAR[]))"
        values = {"rare_classes": taken.rare_classes(rare["share"])}
        found.append(Condition("rare_classes", rare["rate"], sql, ("detections",), values))
    if new["enabled"]:
        sql = f"NOT list_has_all(CAST($known_classes AS VARCHAR[]), {_LABELS})"
        found.append(
            Condition("new_classes", new["rate"], sql, ("detections",), {"known_classes": taken.known_classes})
        )
    return found


def _disagreement(config: Mapping[str, Any]) -> list[Condition]:
    said = config["disagreement"]
    return [Condition("disagreement", said["rate"], disagreement.SQL)] if said["enabled"] else []


def _random(config: Mapping[str, Any]) -> list[Condition]:
    said = config["random_sample"]
    return [Condition(RANDOM, said["rate"], "true")] if said["enabled"] else []


def chance(found: Sequence[Condition]) -> str:
    """Whether a prediction has any chance at all."""
    return f"({' OR '.join(one.sql for one in found)})"


def below(found: Sequence[Condition]) -> str:
    """The first hexadecimal digits that a hash must be below, of the highest rate among the conditions that hold."""
    by_rate = sorted(enumerate(found), key=lambda one: -one[1].rate)
    return f"CASE {' '.join(f'WHEN {one.sql} THEN $below_{place}' for place, one in by_rate)} ELSE '' END"


def columns(found: Sequence[Condition]) -> str:
    """The columns that the conditions need of what was drawn."""
    names = dict.fromkeys(["prediction_id", "ts", "source", "batch_id", *(name for one in found for name in one.reads)])
    return ", ".join(f"p.{name}" for name in names)


def held(found: Sequence[Condition]) -> str:
    """The conditions as columns `c0`, `c1` …, true or false."""
    return ", ".join(f"coalesce({one.sql}, false) AS c{place}" for place, one in enumerate(found))


def rate(found: Sequence[Condition]) -> str:
    """The highest rate among the conditions that hold."""
    offers = ", ".join(f"CASE WHEN c{place} THEN $rate_{place} ELSE 0.0 END" for place in range(len(found)))
    return f"greatest({offers})"


def reasons(found: Sequence[Condition]) -> str:
    """The names of the conditions that hold; the random sample where it alone would have selected."""
    holds = ("random" if one.name == RANDOM else f"c{place}" for place, one in enumerate(found))
    return ", ".join(f"CASE WHEN {sql} THEN '{one.name}' END" for sql, one in zip(holds, found, strict=True))


def values(found: Sequence[Condition]) -> dict[str, Any]:
    """The parameters of `chance` and `held`."""
    return {name: value for one in found for name, value in one.values.items()}


def limits(found: Sequence[Condition]) -> dict[str, str]:
    """The parameters of `below`."""
    return {f"below_{place}": digits(one.rate) for place, one in enumerate(found)}


def rates(found: Sequence[Condition]) -> dict[str, float]:
    """The parameters of `rate`."""
    return {f"rate_{place}": float(one.rate) for place, one in enumerate(found)}


def random_rate(found: Sequence[Condition]) -> float:
    """The rate of the random sample; 0 where there is none."""
    return max((one.rate for one in found if one.name == RANDOM), default=0.0)


def digits(rate: float) -> str:
    """The text below which the hexadecimal hash of a unit is, exactly if its bucket is below `rate`."""
    steps = math.ceil(rate * 2**52)
    return f"{steps:013x}" if steps < 2**52 else "g"  # after every hexadecimal digit
