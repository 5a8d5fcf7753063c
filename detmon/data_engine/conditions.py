"""The conditions under which a prediction may be selected, as SQL over its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from detmon.data_engine import disagreement
from detmon.data_engine.taken import USUAL_AREA, Taken

MILLION = 1_000_000
_LABELS = "list_transform(p.detections, lambda d: d.label)"


@dataclass(frozen=True)
class Condition:
    """One condition: the reason it gives, the rate it offers, and when it holds."""

    name: str
    rate: float
    sql: str
    """A Boolean over the columns of predictions `p`; NULL counts as false."""
    values: Mapping[str, Any] = field(default_factory=dict)


def conditions(config: Mapping[str, Any], taken: Taken | None) -> list[Condition]:
    """The conditions of the strategies that are on, in the order in which reasons are listed."""
    return [
        *_low_confidence(config),
        *_edge_cases(config, taken),
        *_classes(config, taken),
        *_disagreement(config),
        *_random(config),
    ]


def _low_confidence(config: Mapping[str, Any]) -> list[Condition]:
    said = config["low_confidence"]
    if not said["enabled"]:
        return []
    below = (round(said["threshold"] * MILLION) - 0.5) / MILLION  # confidences count in whole millionths
    sql = "CAST(p.confidence_min AS DOUBLE) < $low_confidence"
    return [Condition("low_confidence", said["sample_rate"], sql, {"low_confidence": below})]


def _edge_cases(config: Mapping[str, Any], taken: Taken | None) -> list[Condition]:
    said = config["edge_cases"]
    if not said["enabled"]:
        return []
    low, high = (taken.min_area, taken.max_area) if taken else USUAL_AREA
    areas = {
        "min_area": low if said["min_area"] is None else said["min_area"],
        "max_area": high if said["max_area"] is None else said["max_area"],
    }
    known: dict[str, tuple[str, dict[str, Any]]] = {
        "no_detections": ("p.n_detections = 0", {}),
        "high_density": (
            "p.n_detections >= $min_detections AND p.max_iou >= CAST($overlap AS FLOAT)",
            {"min_detections": said["min_detections"], "overlap": said["overlap"]},
        ),
        "unusual_size": ("p.area_min < CAST($min_area AS FLOAT) OR p.area_max > CAST($max_area AS FLOAT)", areas),
    }
    return [Condition(name, said["rate"], *known[name]) for name in said["conditions"]]


def _classes(config: Mapping[str, Any], taken: Taken | None) -> list[Condition]:
    if taken is None:  # nothing is known of the model's classes yet: none is rare, none is new
        return []
    found = []
    rare, new = config["rare_classes"], config["new_classes"]
    if rare["enabled"]:
        sql = f"list_has_any({_LABELS}, CAST($rare_classes AS VARCHAR[]))"
        found.append(Condition("rare_classes", rare["rate"], sql, {"rare_classes": taken.rare_classes(rare["share"])}))
    if new["enabled"]:
        sql = f"NOT list_has_all(CAST($known_classes AS VARCHAR[]), {_LABELS})"
        found.append(Condition("new_classes", new["rate"], sql, {"known_classes": taken.known_classes}))
    return found


def _disagreement(config: Mapping[str, Any]) -> list[Condition]:
    said = config["disagreement"]
    return [Condition("disagreement", said["rate"], disagreement.SQL)] if said["enabled"] else []


def _random(config: Mapping[str, Any]) -> list[Condition]:
    said = config["random_sample"]
    return [Condition("random_sample", said["rate"], "true")] if said["enabled"] else []


def columns(found: Sequence[Condition]) -> str:
    """The conditions as columns `c0`, `c1` …, true or false."""
    return ", ".join(f"coalesce({one.sql}, false) AS c{place}" for place, one in enumerate(found))


def rate(found: Sequence[Condition]) -> str:
    """The highest rate among the conditions that hold."""
    offers = ", ".join(f"CASE WHEN c{place} THEN $rate_{place} ELSE 0.0 END" for place in range(len(found)))
    return f"greatest({offers})"


def reasons(found: Sequence[Condition]) -> str:
    """The names of the conditions that hold; the random sample where it alone would have selected."""
    holds = ("u < random_rate" if one.name == "random_sample" else f"c{place}" for place, one in enumerate(found))
    return ", ".join(f"CASE WHEN {sql} THEN '{one.name}' END" for sql, one in zip(holds, found, strict=True))


def random_rate(found: Sequence[Condition]) -> float:
    """The rate of the random sample; 0 where there is none."""
    return max((one.rate for one in found if one.name == "random_sample"), default=0.0)


def values(found: Sequence[Condition]) -> dict[str, Any]:
    """The parameters of `columns`."""
    return {name: value for one in found for name, value in one.values.items()}


def rates(found: Sequence[Condition]) -> dict[str, float]:
    """The parameters of `rate`."""
    return {f"rate_{place}": float(one.rate) for place, one in enumerate(found)}
