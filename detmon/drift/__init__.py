"""`drift check`: whether two periods of a model, or two logs, differ more than the model's own days do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, tzinfo
from typing import Any, TypeAlias

from detmon.drift import causes, sources
from detmon.drift.compare import Comparison, compare
from detmon.drift.periods import Periods
from detmon.drift.records import (
    Blocks,
    DayPartEffect,
    DriftClass,
    DriftEffect,
    DriftReport,
    DriftWarning,
    Histogram,
    SourceMix,
    UsualRange,
    Volume,
)
from detmon.drift.settings import Asked
from detmon.drift.windows import Log, Window, by_source
from detmon.stats.blocks import Note
from detmon.stats.drift import significant_among
from detmon.store import Connection, pruned_before, statement

Silence: TypeAlias = Callable[[Comparison, datetime], sources.Silent]
DIGITS = 12
"""Significant digits of a number in a result: what comes after depends on the machine."""


def check_store(con: Connection, model_id: str, zone: tzinfo, span: Periods, asked: Asked) -> DriftReport:
    """The verdict on two periods of one model."""
    log = Log(con, model_id, pruned_before(con, model_id))
    windows = [Window(log, period.start, period.end, zone) for period in (span.reference, span.current)]
    notes = [*span.notes, *_pruned(windows, asked)]
    if not all(window.images for window in windows):
        notes = [*notes, *_stored_span(con, model_id)]
    return between(windows[0], windows[1], (span.reference.text, span.current.text), model_id, notes, asked)


def _pruned(windows: list[Window], asked: Asked) -> list[Note]:
    """What rows that are gone keep from being said. Raises UsageError where a check a source is asked for."""
    pruned = [window for window in windows if window.rows_pruned]
    if pruned and asked.by_source:
        pruned[0].need_rows()
    return [
        Note(
            "rows_pruned",
            f"Rows before {window.log.pruned_before:%Y-%m-%d %H:%M} UTC are pruned: compared from hourly sums, and not "
            "whether classes moved beyond the mix of sources.",
        )
        for window in pruned[:1]
    ]


def _stored_span(con: Connection, model_id: str) -> list[Note]:
    """What there is to be compared, for who named a period without predictions."""
    found = [row[-2:] for row in con.execute(statement("status_models")).fetchall() if row[0] == model_id and row[-1]]
    return [
        Note("stored_span", f"Predictions are stored from {first:%Y-%m-%d} to {last:%Y-%m-%d}.")
        for first, last in found
    ]


def between(
    reference: Window,
    current: Window,
    texts: tuple[str, str],
    model_id: str | None,
    notes: list[Note],
    asked: Asked,
    *,
    in_order: bool = True,
) -> DriftReport:
    """The verdict on two windows; `in_order`: the current one is the later, so that a source can fall silent."""
    silent = sources.silent if in_order else sources.none_silent
    whole = _checked(reference, current, asked, silent)
    report = _report(whole, model_id, texts, notes)
    if not asked.by_source:
        return report
    with by_source(reference, current):
        reports = _by_source(reference, current, asked, model_id, texts)
    gone = set(report.silent_sources)
    return replace(
        report,
        sources=tuple(replace(one, silent_sources=(one.source,) if one.source in gone else ()) for one in reports),
    )


def _by_source(
    reference: Window, current: Window, asked: Asked, model_id: str | None, texts: tuple[str, str]
) -> list[DriftReport]:
    """A report a source; one is significant when it is so among all of them."""
    names = sorted({*reference.sources, *current.sources})
    checks = [
        _checked(replace(reference, source=name), replace(current, source=name), asked, sources.none_silent)
        for name in names
    ]
    significant = significant_among([check.found.verdict for check in checks], asked.settings.q)
    reports = []
    for name, check, moved in zip(names, checks, significant, strict=True):
        report = replace(_report(check, model_id, texts, []), source=name, significant_drift=moved)
        if moved is False and check.found.verdict.significant_drift:
            reason = f"Not beyond what one of {len(names)} sources shows by chance."
            report = replace(report, reason=reason, reason_code="no_drift_among_sources", affected_classes=())
        reports.append(report)
    return reports


@dataclass(frozen=True)
class _Check:
    found: Comparison
    silent: sources.Silent
    mix: SourceMix


def _checked(reference: Window, current: Window, asked: Asked, silent: Silence) -> _Check:
    found = compare(reference, current, asked.block, asked.settings)
    return _Check(
        found, silent(found, asked.now), sources.mix(found, always=asked.by_source and reference.source is None)
    )


def _report(check: _Check, model_id: str | None, texts: tuple[str, str], notes: list[Note]) -> DriftReport:
    found, verdict = check.found, check.found.verdict
    named = causes.named(found, check.mix, check.silent.names)
    said = [*notes, *found.notes, *verdict.warnings, *check.silent.notes, *named]
    report = DriftReport(
        model_id=model_id,
        reference_period=texts[0],
        current_period=texts[1],
        class_drift=verdict.class_drift,
        confidence_drift=verdict.confidence_drift,
        count_drift=verdict.count_drift,
        significant_drift=verdict.significant_drift,
        reason=verdict.reason.message,
        reason_code=verdict.reason.code,
        affected_classes=verdict.affected_classes,
        classes=tuple(DriftClass(**vars(change)) for change in verdict.classes),
        new_classes=verdict.new_classes,
        gone_classes=verdict.gone_classes,
        silent_sources=check.silent.names,
        effects={name: DriftEffect(**vars(effect)) for name, effect in verdict.effects.items()},
        day_part_effects=tuple(DayPartEffect(**vars(effect)) for effect in verdict.day_part_effects),
        usual_range={name: UsualRange(**vars(r)) if r else None for name, r in verdict.usual_range.items()},
        detectable_change={**verdict.detectable_change, "classes": verdict.detectable_class_change},
        excluded_share=verdict.excluded_share,
        blocks=Blocks(found.choice.size, len(found.choice.reference), len(found.choice.current), verdict.usual_blocks),
        source_mix=check.mix,
        confidence_ks=verdict.confidence_ks,
        confidence_w1=verdict.confidence_w1,
        volumes=_volumes(found),
        histograms=_histograms(found),
        warnings=tuple(DriftWarning(note.code, note.message) for note in dict.fromkeys(said)),
    )
    rounded: DriftReport = _rounded(report)
    return rounded


def _volumes(found: Comparison) -> dict[str, Volume]:
    counts = found.counts
    images, detections = ([int(n) for n in counts.window(values)] for values in (counts.images, counts.detections))
    windows = (found.reference, found.current)
    return {
        name: Volume(images[side], detections[side], len(window.sources))
        for side, (name, window) in enumerate(zip(("reference", "current"), windows, strict=True))
    }


def _histograms(found: Comparison) -> dict[str, Histogram]:
    """Confidences in tenths, and images by number of detections."""
    counts = found.counts
    shown = {"confidence": counts.confidence.reshape(len(counts.current), 10, -1).sum(axis=2)}
    if found.denominator_known:
        shown["objects"] = counts.objects
    edges = {"confidence": [k / 10 for k in range(10)], "objects": [float(k) for k in range(66)]}
    return {
        name: Histogram(tuple(edges[name]), *(_shares(side.tolist()) for side in counts.window(values)))
        for name, values in shown.items()
    }


def _shares(counts: list[int]) -> tuple[float, ...]:
    total = sum(counts) or 1
    return tuple(count / total for count in counts)


def _rounded(value: Any) -> Any:
    """The same with all numbers to `DIGITS` significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_rounded(item) for item in value)
    if hasattr(value, "to_dict"):
        return replace(value, **{field.name: _rounded(getattr(value, field.name)) for field in fields(value)})
    return value
