"""`detmon quality`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detmon.cli import options, output
from detmon.cli.reading import given, reading_options
from detmon.cli.report import Part, Report, ReportFormat, Section, Table
from detmon.cli.report import show as print_report

if TYPE_CHECKING:
    from detmon.quality.records import ClassQuality, Estimate, GroundTruth, QualityReport

app = options.noun()

WORST = 8
"""So many classes stand in the report without `--by label`."""


@app.command("show")
@reading_options
def show(
    ctx: typer.Context,
    model: Annotated[str | None, typer.Option(help="The model's id or name, where there are several.")] = None,
    period: Annotated[str | None, typer.Option(help="For example 'last 28d' (default: all that is stored).")] = None,
    by: Annotated[str | None, typer.Option(help="All labels, or each source: label, source.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Whose selection counts, where several engines select.")] = None,
    assume_random: Annotated[
        bool, typer.Option("--assume-random", help="The reviewed images are a simple random sample: I say so.")
    ] = False,
    ground_truth: Annotated[
        Path | None, typer.Option(help="Also against this: COCO dataset, YOLO folder, MOT gt.txt or CVAT XML.")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Also against the labels of this dataset version, by id or name.")
    ] = None,
    log: Annotated[
        list[str] | None,
        typer.Option(help="With --version: a log that is not stored, of a candidate; options of `ingest` apply."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="With --version: only its images for train, val or test.")] = None,
    missing_are_empty: Annotated[
        bool,
        typer.Option("--missing-are-empty", help="With --version: where it has no prediction, it found nothing."),
    ] = False,
    min_confidence: Annotated[
        float | None, typer.Option(help="With ground truth: the confidence from which on boxes were served.")
    ] = None,
    image_id: Annotated[str | None, typer.Option(help="With it: path, name or stem, as in feedback match.")] = None,
    image_size: Annotated[
        str | None, typer.Option(metavar="WxH", help="With a YOLO folder, where none is logged.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="With MOT: the label of all objects.")] = None,
    source: Annotated[str | None, typer.Option(help="With MOT: the sequence's name in the image ids.")] = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 3 when precision or recall is unknown.")] = False,
    json: options.Json = False,
    format: Annotated[ReportFormat, typer.Option("--format", help="How to print the report.")] = ReportFormat.text,
    **reading: Any,
) -> None:
    """Show precision, recall and error kinds of a model, as far as its reviews can tell.

    Example: detmon quality show --model vehicles@3 --period 'last 28d'
    """
    found = options.client(ctx).show_quality(
        model, period, by=by, dataset=dataset, assume_random=assume_random or None, ground_truth=ground_truth,
        version=version, log=log, split=split, missing_are_empty=missing_are_empty, min_confidence=min_confidence,
        image_id=image_id, image_size=options.size(image_size), label=label, source=source, **given(reading),
    )  # fmt: skip
    for warning in found.ground_truth.warnings if found.ground_truth else ():
        output.warn(f"{ground_truth or version}: {warning.code}: {warning.message}")
    print_report(_report(found, by), found, ReportFormat.json if json else format)
    if exit_code and found.undecided:
        raise typer.Exit(3)


def _report(found: QualityReport, by: str | None) -> Report:
    return Report(f"Quality of {found.model_id}{_span(found)}", _summary(found), list(_sections(found, by)))


def _span(found: QualityReport) -> str:
    if not (found.start and found.end):
        return ""
    return f", {found.start:%Y-%m-%d} to {found.end:%Y-%m-%d}"


_BASIS = {
    "census": "all that have a box",
    "sample": "selected by chance by the engine of {dataset!r}",
    "flagged": "the flagged ones only",
    "assumed_random": "taken, as told, for a simple random sample",
}


def _summary(found: QualityReport) -> str:
    precision, recall, truth = found.precision, found.recall, found.ground_truth
    parts = []
    if truth:
        shares = {"mAP": truth.map, "mAP .50": truth.map50, "precision": truth.precision, "recall": truth.recall}
        said = ", ".join(f"{name} {share:.3f}" for name, share in shares.items() if share is not None)
        parts.append(f"Against {_truths_name(truth)}: {said}.")
        parts += [f"Do not go by it: {reason.message}." for reason in truth.reasons]
        if not _is_reviewed(found):
            return " ".join(parts)
    if precision.value is None and recall is None:
        why = next((reason.message for reason in found.reasons if "precision" in reason.refuses), "")
        return " ".join([*parts, f"Not enough data for a precision or a recall from reviews: {why}."])
    parts += [f"Precision {_spoken(precision)}." if precision.value is not None else "No precision (see below)."]
    parts.append(f"Recall {_spoken(recall)}." if recall else "No recall (see below).")
    if found.f1 is not None:
        parts.append(f"F1 {found.f1:.3f}.")
    basis = _BASIS[found.basis or ""].format(dataset=found.dataset)
    parts.append(f"From {found.reviewed.counted:,} reviewed of {found.reviewed.images:,} images, {basis}.")
    return " ".join(parts)


def _is_reviewed(found: QualityReport) -> bool:
    return bool(found.reviewed.complete or found.reviewed.partly_marked)


def _truths_name(truth: GroundTruth) -> str:
    if truth.version is None:
        return "ground truth"
    return f"version {truth.version.name!r}" + (f" ({truth.version.split})" if truth.version.split else "")


def _spoken(one: Estimate) -> str:
    return f"{one.value:.3f} (95 % interval {one.low:.3f} to {one.high:.3f}, n {one.n:,})"


def _sections(found: QualityReport, by: str | None) -> Iterator[Section]:
    if found.ground_truth:
        yield _truth(found.ground_truth)
    if found.ground_truth and not _is_reviewed(found):
        return
    if found.reasons:
        yield Section("What it cannot say, and what to bear in mind", [_said(reason) for reason in found.reasons])
    if found.of_flagged_images:
        flagged = found.of_flagged_images
        rows = [_row("precision", flagged.precision), _row("recall", flagged.recall), *_errors(flagged.errors)]
        yield Section("Of the flagged images", [Table(rows)])
    if rows := list(_errors(found.errors)):
        yield Section("Errors", [Table(rows)])
    if found.classes:
        yield from _classes(found, by)
    if found.sources is not None:
        rows = [
            {"source": one.source or "-", "images": one.images, **_both(one.precision, one.recall)}
            for one in found.sources
        ]
        yield Section("Sources", [Table(rows)] if rows else ["No reviewed image."])
    if mixed := [one for one in found.confusion if one.true_label != one.label]:
        rows = [
            {"predicted": one.label, "is": one.true_label or "nothing", "boxes": one.n, "share": one.share}
            for one in sorted(mixed, key=lambda one: -one.n)[: None if by == "label" else WORST]
        ]
        yield Section("Confusion", [Table(rows)])
    if found.calibration:
        yield _calibration(found)
    if found.expected_precision or found.assisted_precision:
        yield Section("Expected from confidences", list(_expected(found)))
    if found.volunteered.images:
        said = found.volunteered
        kinds = {key: count for key, count in said.to_dict().items() if key != "images" and count}
        told = ", ".join(f"{count:,} {key.replace('_', ' ')}" for key, count in kinds.items())
        yield Section("Volunteered", [f"{said.images:,} images that no engine selected, in no estimate: {told}."])


def _truth(truth: GroundTruth) -> Section:
    coco = {"mAP .50:.95": truth.map, "mAP .50": truth.map50, "mAP .75": truth.map75, "AR 100": truth.ar100}
    served = {"precision": truth.precision, "recall": truth.recall, "F1": truth.f1}
    floor = "all boxes" if truth.threshold is None else f"boxes from {truth.threshold:.2f} on"
    worst = sorted(truth.classes, key=lambda one: one.ap)[:WORST]
    rows = [
        {
            "label": one.label, "objects": one.objects, "AP .50:.95": one.ap, "AP .50": one.ap50,
            "precision": one.precision, "recall": one.recall,
        }
        for one in worst
    ]  # fmt: skip
    errors = ", ".join(f"{count:,} {kind}" for kind, count in truth.tide.items() if count)
    said = [f"Labels of {truth.version.dataset}, digest {truth.version.digest[:12]}."] if truth.version else []
    return Section(
        f"Against {_truths_name(truth)}",
        [
            *said,
            Table([coco]),
            f"Served ({floor}): {truth.boxes:,} boxes, {truth.objects:,} objects, {truth.images:,} images.",
            Table([served]),
            f"Errors by TIDE's kinds: {errors or 'none'}.",
            *([Table(rows)] if rows else []),
        ],
    )


def _said(reason: Any) -> str:
    about = ", ".join(name.replace("_", " ") for name in reason.refuses)
    return f"No {about}: {reason.message}." if about else f"{reason.message[:1].upper()}{reason.message[1:]}."


def _row(name: str, one: Estimate | None) -> dict[str, Any]:
    shown = one.to_dict() if one else dict.fromkeys(("value", "low", "high", "n"))
    return {"": name, "rate": shown["value"], "low": shown["low"], "high": shown["high"], "n": shown["n"]}


def _errors(errors: Any) -> Iterator[dict[str, Any]]:
    for name in ("wrong_label", "wrong_box", "false_positive"):
        if errors.get(name):
            yield _row(f"{name.replace('_', ' ')}, of boxes", errors[name])
        if name == "false_positive":
            for reason, rate in errors.get("false_positive_reasons", {}).items():
                yield _row(f"  {reason}", rate)
    if errors.get("missed_object"):
        yield _row("missed object, per image", errors["missed_object"])


def _both(precision: Estimate | None, recall: Estimate | None) -> dict[str, Any]:
    return {"precision": _interval(precision), "recall": _interval(recall)}


def _interval(one: Estimate | None) -> str:
    if one is None or one.value is None:
        return "-"
    return f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"


def _classes(found: QualityReport, by: str | None) -> Iterator[Section]:
    judged = [one for one in found.classes if one.precision or one.recall]
    few = len(found.classes) - len(judged)
    shown: Sequence[Any] = found.classes
    if by != "label":
        shown = sorted(judged, key=_worst)[:WORST]
    rows = [
        {"label": one.label, "boxes": one.detections, "objects": one.objects, **_both(one.precision, one.recall)}
        for one in shown
    ]
    parts: list[Part] = [Table(rows)] if rows else []
    if few and by != "label":
        parts.append(f"{few} more with fewer than 20 reviewed boxes or objects in 10 images: --by label.")
    yield Section("Classes" if by == "label" else "Worst classes", parts)


def _worst(one: ClassQuality) -> float:
    return min(part.value or 0.0 for part in (one.precision, one.recall) if part)


def _calibration(found: QualityReport) -> Section:
    from detmon.cli.report import Bars

    assert found.calibration is not None
    rows = [
        (f"{one.low:.1f} to {one.high:.1f} ({one.n:,})", (one.confidence, one.precision))
        for one in found.calibration.bins
    ]
    told = f"Precision is {found.calibration.error:.1%} away from confidence on average."
    return Section("What a confidence means", [Bars(("confidence", "precision"), rows), told])


def _expected(found: QualityReport) -> Iterator[Part]:
    if one := found.assisted_precision:
        yield (
            f"Precision of this period's own boxes: {one.value:.3f} (95 % interval {one.low:.3f} to {one.high:.3f}), "
            f"{one.images:,} reviewed images with the help of their confidences."
        )
    if said := found.expected_precision:
        checked = "agree" if said.check == "passed" else "are too few to check"
        yield (
            f"Expected precision if scores still mean what they meant: {said.value:.3f} (95 % interval {said.low:.3f} "
            f"to {said.high:.3f}) for {said.boxes:,} boxes, learnt from {said.reviewed_boxes:,} reviewed ones up to "
            f"{said.reviewed_until:%Y-%m-%d}, {said.age_days:.0f} days before the end; the newest reviews {checked}."
        )
