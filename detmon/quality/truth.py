"""A model against full ground truth: COCO's figures, and what was served."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from detmon import evaluation
from detmon.evaluation import Rules
from detmon.formats.truth import TruthOptions, read_truth
from detmon.quality.records import ClassPrecision, GroundTruth, QualityReport, TruthWarning
from detmon.reviewed import Settings
from detmon.store import Connection
from detmon.times import Period


class Against:
    """Ground truth in a file or folder, read at once, and how predictions are compared with it.

    Raises UsageError, InputRefused, OperationError.
    """

    def __init__(
        self,
        path: Path,
        settings: Settings,
        threshold: float | None = None,
        image_id: str | None = None,
        image_size: tuple[int, int] | None = None,
        label: str | None = None,
        source: str | None = None,
    ) -> None:
        self.rules = Rules(settings.iou, settings.background_iou, threshold, image_id, image_size)
        self.truth = read_truth(path, TruthOptions(image_id, label, source))

    def added_to(self, report: QualityReport, con: Connection, period: Period) -> QualityReport:
        """The report with the figures against the ground truth.

        Without a threshold, boxes count as served from the lowest confidence on that reviewers judged.
        """
        served_from = report.reviewed.served_from
        rules = replace(self.rules, threshold=served_from) if self.rules.threshold is None else self.rules
        joined = evaluation.join(con, report.model_id, period, self.truth, rules)
        found = evaluation.assess(joined, rules)
        served = found.served
        figures = GroundTruth(
            map=found.map,
            map50=found.map50,
            map75=found.map75,
            ar100=found.ar100,
            precision=served.precision,
            recall=served.recall,
            f1=served.f1,
            threshold=found.threshold,
            tide=served.tide,
            images=len(joined.predictions),
            boxes=served.judged,
            objects=served.objects,
            classes=tuple(ClassPrecision(label, one.objects, one.ap, one.ap50) for label, one in found.classes.items()),
            warnings=tuple(TruthWarning(one.code, one.message, one.count) for one in joined.warnings),
        )
        return replace(report, ground_truth=figures)
