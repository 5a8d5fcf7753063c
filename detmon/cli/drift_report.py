"""The report of a drift check for people: the verdict first, then what moved, then what could have been seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from detmon.cli.report import Bars, Part, Report, Section, Table

if TYPE_CHECKING:
    from detmon.drift.records import DriftClass, DriftEffect, DriftReport, Histogram

WORDS = {
    "avg_confidence": "mean confidence",
    "detections_per_image": "boxes per image",
    "no_detection_rate": "empty images",
    "low_confidence_rate": "low confidences",
    "above_median_confidence": "above usual median",
    "class_mix": "mix of classes",
    "class_drift": "classes",
    "confidence_drift": "confidences",
    "count_drift": "boxes per image",
}
"""Names that leave room for the numbers in 80 columns."""
NUMBERS = ("avg_confidence", "detections_per_image")
"""Effects that are shown as numbers; the others are shares."""
CAUSES = (
    "confidence_floor_differs", "confidence_floor_moved", "score_scale_changed", "labels_renamed", "different_models",
    "source_silent", "source_mix_changed", "sources_replaced", "sources_differ", "boxes_capped", "denominator_changed",
)  # fmt: skip
"""Warnings that name what else than the world may have moved the numbers."""
CLASSES = 12
"""So many classes are shown: those that moved, then the most frequent."""
PERIOD = 24
"""Letters of a period that leave room for the numbers: those of two days."""
LABEL = 20
"""Letters of a label that leave room for the numbers."""
OBJECTS = ((0, 0), (1, 1), (2, 2), (3, 4), (5, 9), (10, 19), (20, 64), (65, 65))


def drift_report(found: DriftReport) -> Report:
    """The report of a check."""
    about = found.model_id or "two logs"
    verdict = {True: "Drift.", False: "No drift.", None: "No verdict."}[found.significant_drift]
    moved = ", ".join(_source(one) for one in found.sources or () if one.significant_drift)
    alone = f" Drift of single sources: {moved}." if moved else ""
    silent = f" Silent: {', '.join(found.silent_sources)}." if found.silent_sources else ""
    sections = [Section(title, list(parts)) for title, parts in _sections(found) if parts]
    return Report(f"Drift of {about}", f"{verdict} {found.reason}{alone}{silent}", sections)


def _sections(found: DriftReport) -> Iterator[tuple[str, Sequence[Part]]]:
    yield "Compared", _compared(found)
    yield "Values", _values(found)
    yield "Classes", _classes(found)
    yield "Parts of the day", _parts(found)
    yield "Distances", _distances(found)
    yield "Confidence", _bars(found.histograms.get("confidence"), _confidence_rows)
    yield "Detections per image", _bars(found.histograms.get("objects"), _object_rows)
    yield "Sources", _sources(found)
    yield "Possible causes that are not the world", _notes(found, causes=True)
    yield "To know", _notes(found, causes=False)


def _compared(found: DriftReport) -> list[Part]:
    periods = {"reference": found.reference_period, "current": found.current_period}
    in_table = max(map(len, periods.values())) <= PERIOD
    rows = [
        {
            "period": name,
            **({"from, to": periods[name]} if in_table else {}),
            "images": f"{volume.images:,}",
            "detections": f"{volume.detections:,}",
            "sources": volume.sources,
            "blocks": blocks,
        }
        for name, volume, blocks in (
            ("reference", found.volumes["reference"], found.blocks.reference),
            ("current", found.volumes["current"], found.blocks.current),
        )
    ]
    above = [] if in_table else [f"{name}: {period}" for name, period in periods.items()]
    size = found.blocks.size
    said = {None: "No blocks: nothing to judge by.", "source": "A block is a source.", "1d": "A block is a day."}
    return [*above, Table(rows), said.get(size, f"A block lasts {size}.")]


def _values(found: DriftReport) -> list[Part]:
    rows = []
    for name, effect in found.effects.items():
        seen = found.detectable_change.get(name)
        rows.append(
            {"": WORDS[name], **_change(name, effect), "p": _p(effect.adjusted_p), "visible": _size(name, seen)}
        )
    note = "p: adjusted for all that was tested. visible: the change that four of five such checks would find."
    return [Table(rows), note] if rows else []


def _change(name: str, effect: Any) -> dict[str, str]:
    return {
        "reference": _value(name, effect.reference),
        "current": _value(name, effect.current),
        "change": _value(name, effect.change, signed=True),
    }


def _value(name: str, value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return "-"
    sign = "+" if signed else ""
    if name in NUMBERS:
        return f"{value:{sign}.3f}"
    return f"{100 * value:{sign}.1f} {'pt' if signed else '%'}"


def _size(name: str, change: float | None) -> str:
    """A change that could have been seen: of shares in points, of classes and counts in per cent of what they were."""
    if change is None:
        return "-"
    if name == "avg_confidence":
        return f"{change:.3f}"
    return f"{100 * change:.1f} {'%' if name in ('detections_per_image', 'class') else 'pt'}"


def _p(p: float | None) -> str:
    return "-" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _classes(found: DriftReport) -> list[Part]:
    chosen = sorted(found.classes, key=lambda change: (change.tag is None, -_share(change), change.label))[:CLASSES]
    rows = [
        {
            "class": _shortened(change.label),
            "reference": _value("share", change.reference_share),
            "current": _value("share", change.current_share),
            "change": "-" if change.relative_change is None else f"{100 * change.relative_change:+.0f} %",
            "": change.tag or "",
            "p": _p(change.adjusted_p),
            "visible": _size("class", found.detectable_change["classes"].get(change.label)),
        }
        for change in chosen
    ]
    left = len(found.classes) - len(chosen)
    parts: list[Part] = [Table(rows)] if rows else []
    if left:
        parts.append(f"and {left} more classes: --json lists all.")
    if found.excluded_share is not None:
        parts.append(f"A class that the reference lacks had there, at 95 %, a share below {found.excluded_share:.2g}.")
    return parts


def _shortened(label: str) -> str:
    return label if len(label) <= LABEL else f"{label[: LABEL - 1]}…"


def _share(change: DriftClass) -> float:
    return max(change.reference_share or 0, change.current_share or 0)


def _parts(found: DriftReport) -> list[Part]:
    rows = [
        {
            "hours": effect.part,
            "": WORDS[effect.probe],
            **_change(effect.probe, effect),
            "p": _p(effect.adjusted_p),
        }
        for effect in found.day_part_effects
    ]
    return [Table(rows)] if rows else []


def _distances(found: DriftReport) -> list[Part]:
    """Jensen-Shannon distances beside the usual ones."""
    rows = []
    for name in ("class_drift", "confidence_drift", "count_drift"):
        usual = found.usual_range.get(name)
        rows.append(
            {
                "": WORDS[name],
                "distance": found[name],
                "usual": usual.median if usual else None,
                "usual, at most": usual.max if usual else None,
            }
        )
    parts: list[Part] = [Table(rows)]
    if found.blocks.usual < found.blocks.current and any(found.usual_range.values()):
        parts.append(f"Usual: of stretches of {found.blocks.usual} blocks, shorter than the current period.")
    return parts


def _bars(histogram: Histogram | None, rows: Any) -> list[Part]:
    if histogram is None or not any((*histogram.reference, *histogram.current)):
        return []
    return [Bars(("reference", "current"), rows(histogram))]


def _confidence_rows(histogram: Histogram) -> list[tuple[str, tuple[float, float]]]:
    shares = zip(histogram.edges, histogram.reference, histogram.current, strict=True)
    return [(f"{edge:.1f}-{edge + 0.1:.1f}", (a, b)) for edge, a, b in shares]


def _object_rows(histogram: Histogram) -> list[tuple[str, tuple[float, float]]]:
    rows = []
    for low, high in OBJECTS:
        sums = tuple(sum(side[low : high + 1]) for side in (histogram.reference, histogram.current))
        if any(sums):
            name = f"{low}" if low == high < 65 else "65+" if low == 65 else f"{low}-{high}"
            rows.append((name, (sums[0], sums[1])))
    return rows


def _sources(found: DriftReport) -> list[Part]:
    parts: list[Part] = []
    if found.silent_sources:
        parts.append(f"There all along, and silent now: {', '.join(found.silent_sources)}.")
    if not found.sources:
        return parts
    parts.append(Table([_source_row(one) for one in found.sources]))
    parts += [f"{_source(one)}: {one.reason}" for one in found.sources if one.significant_drift]
    if any(one.significant_drift is None for one in found.sources):
        parts.append("?: too little to judge that source alone; --json says of what.")
    return parts


def _source_row(one: DriftReport) -> Mapping[str, Any]:
    confidence: DriftEffect | None = one.effects.get("avg_confidence")
    return {
        "source": _source(one),
        "drift": {True: "yes", False: "no", None: "?"}[one.significant_drift],
        "confidence": confidence.change if confidence else None,
        "class_drift": one.class_drift,
        "blocks": f"{one.blocks.size or '-'} {one.blocks.reference}/{one.blocks.current}",
    }


def _source(one: DriftReport) -> str:
    return _shortened(one.source or "(none)")


def _notes(found: DriftReport, *, causes: bool) -> list[Part]:
    return [f"- {warning.message}" for warning in found.warnings if (warning.code in CAUSES) == causes]
