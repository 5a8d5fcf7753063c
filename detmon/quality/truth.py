"""A model against full ground truth: COCO's figures, and what was served."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from detmon import evaluation
from detmon.errors import UsageError
from detmon.evaluation import Assessment, Joined, Rules
from detmon.formats.truth import TruthOptions, read_truth
from detmon.quality.records import ClassPrecision, GroundTruth, LabelsUsed, QualityReport, TruthWarning
from detmon.quality.version import Labels, Placing
from detmon.reviewed import OF_A_CLASS, Reason, Settings
from detmon.store import Connection
from detmon.times import Period

UNUSABLE = {"other_size": "their boxes are of other pixels"}
"""Findings of a log that make figures against a version useless, and why."""


class Against:
    """Ground truth, and how predictions are compared with it.

    It is in a file or folder, which is read at once, or the labels of a version; then `unseen_are_empty` says that the
    model saw all of its images. Raises UsageError, InputRefused, OperationError.
    """

    def __init__(
        self,
        truth: Path | Labels,
        settings: Settings,
        threshold: float | None = None,
        image_id: str | None = None,
        image_size: tuple[int, int] | None = None,
        label: str | None = None,
        source: str | None = None,
        *,
        unseen_are_empty: bool = False,
    ) -> None:
        self.settings = settings
        self.rules = Rules(settings.iou, settings.background_iou, threshold, image_id, image_size)
        self.labels = truth if isinstance(truth, Labels) else None
        options = TruthOptions(image_id, label, source)
        self.truth = truth.truth if isinstance(truth, Labels) else read_truth(truth, options)
        self.unseen_are_empty = unseen_are_empty

    def added_to(self, report: QualityReport, con: Connection, period: Period) -> QualityReport:
        """The report with the figures against the ground truth.

        Without a threshold, boxes count as served from the lowest confidence on that reviewers judged.
        """
        served_from = report.reviewed.served_from
        return replace(report, ground_truth=self.figures(con, report.model_id, period, served_from))

    def figures(self, con: Connection, model_id: str, period: Period, served_from: float | None = None) -> GroundTruth:
        """The figures of a model; boxes count as served from the threshold on, or `served_from`, or all."""
        rules = replace(self.rules, threshold=served_from) if self.rules.threshold is None else self.rules
        placed = Placing(self.labels, rules.image_id) if self.labels else None
        joined = evaluation.join(
            con, model_id, period, self.truth, rules, placed=placed, unseen_are_empty=self.unseen_are_empty
        )
        found = evaluation.assess(joined, rules)
        served = found.served
        return GroundTruth(
            map=found.map,
            map50=found.map50,
            map75=found.map75,
            ar100=found.ar100,
            precision=served.precision,
            recall=served.recall,
            f1=served.f1,
            threshold=found.threshold,
            tide=served.tide,
            images=len(joined.predictions) + joined.unseen * self.unseen_are_empty,
            boxes=served.judged,
            objects=served.objects,
            classes=tuple(_classes(found)),
            warnings=tuple(TruthWarning(one.code, one.message, one.count) for one in joined.warnings),
            unseen=joined.unseen,
            version=self.labels.used if self.labels else None,
            reasons=tuple(self._reasons(joined)) if self.labels else (),
        )

    def _reasons(self, joined: Joined) -> Iterator[Reason]:
        """Why nobody should go by the figures."""
        told = {one.code: one for one in joined.warnings}
        for code, why in UNUSABLE.items():
            if code in told:
                yield Reason(code, f"{told[code].message}: {why}", FIGURES)
        if joined.unseen and not self.unseen_are_empty:
            text = f"{joined.unseen:,} of {len(self.truth.images):,} images have no prediction"
            yield Reason("unseen_images", f"{text} (missing_are_empty, if the model saw them)", FIGURES)
        least = (self.settings.min_images, self.settings.min_detections)
        if len(self.truth.images) < least[0] or len(joined.objects) < least[1]:
            there = f"{len(self.truth.images):,} images with {len(joined.objects):,} objects"
            yield Reason("too_few", f"{there}, {least[0]} with {least[1]} needed", FIGURES)


FIGURES = ("map", "map50", "map75", "ar100", "precision", "recall", "f1")


def _classes(found: Assessment) -> Iterator[ClassPrecision]:
    for label, one in found.classes.items():
        served = found.by_label[label]
        yield ClassPrecision(label, one.objects, one.ap, one.ap50, served.precision, served.recall)


def measured(
    report: QualityReport, metric: str, label: str | None = None, digest: str = ""
) -> tuple[float | None, str, str | None]:
    """A figure against a version (of one label), what was compared, and why nobody should go by it.

    Raises UsageError where the version's digest does not begin with `digest`.
    """
    truth = report.ground_truth
    assert truth is not None
    assert truth.version is not None
    if not truth.version.digest.startswith(digest):
        found = f"version {truth.version.name!r} has the digest {truth.version.digest}"
        raise UsageError(f"{found}, not {digest}", "versions never change: is this the right store?")
    about = _about(report.model_id, truth, truth.version)
    doubt = next((reason.message for reason in truth.reasons if metric in reason.refuses), None)
    if label is None:
        return getattr(truth, metric), about, doubt
    classes = {one.label: one for one in truth.classes}
    if label not in classes:
        return None, about, doubt or f"no object is {label} (labels: {', '.join(classes)})"
    if classes[label].objects < OF_A_CLASS.n:
        doubt = doubt or f"{classes[label].objects:,} objects are {label}, {OF_A_CLASS.n} needed"
    return getattr(classes[label], _OF_LABEL.get(metric, metric)), about, doubt


_OF_LABEL = {"map": "ap", "map50": "ap50"}


def _about(model_id: str, truth: GroundTruth, version: LabelsUsed) -> str:
    which = repr(version.name) + (f" ({version.split})" if version.split else "")
    served = "" if truth.threshold is None else f" from {truth.threshold:g} on"
    counts = f"{truth.images:,} images, {truth.objects:,} objects, {truth.boxes:,} boxes{served}"
    return "; ".join([f"{model_id} on {which}, {counts}", *(one.message for one in truth.warnings)])
