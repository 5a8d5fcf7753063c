"""Verdicts from ground truth: every served box of an image judged, and what was missed."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detmon import evaluation, failpoints, verdicts
from detmon.evaluation import Joined, Rules
from detmon.feedback.records import Matched
from detmon.formats.remote import spoken
from detmon.formats.truth import TruthOptions, read_truth
from detmon.matching import Matches, served
from detmon.store import Store, statement, transaction
from detmon.times import Period
from detmon.verdicts import VerdictWarning

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

REVIEWER = "ground-truth"
REASONS = {"Bkg": "background", "Both": "both"}
"""Why a box is a false positive, by its TIDE kind; with any other its object was found already: a duplicate."""


def match(
    store: Store,
    model_id: str,
    path: str | Path,
    period: Period,
    now: datetime,
    *,
    rules: Rules,
    options: TruthOptions,
    reviewer: str | None = None,
) -> Matched:
    """Judge all predictions of a period that have ground truth; boxes below the threshold are not judged.

    What was matched last time by the same truth and rules stays as it is. Raises InputRefused, OperationError.
    """
    truth = read_truth(path, options)
    with store.reading() as con:
        joined = evaluation.join(con, model_id, period, truth, rules)
    joined = evaluation.served(joined, rules.threshold)
    found = evaluation.match(joined, rules)
    said = hashlib.sha256(f"{truth.digest} {rules} {options} {reviewer}".encode()).hexdigest()[:12]
    rows = _rows(joined, found)
    failpoints.reach("feedback.staged")
    with store.writing() as con, transaction(con):
        con.register("matched", rows)
        values = {"rules": said, "reviewer": reviewer or REVIEWER, "now": now}
        new: pa.Table = con.sql(statement("identify_matches"), params=values).to_arrow_table()
        con.unregister("matched")
        written = verdicts.write(con, new, now)
        failpoints.reach("feedback.written")
    figures = served(found)
    return Matched(
        file=spoken(path),
        format=truth.format,
        model_id=model_id,
        predictions=len(joined.predictions),
        detections=len(joined.detections),
        objects=figures.objects,
        ignored=int(joined.ignored.sum()),
        threshold=rules.threshold,
        feedback=dict(_counts(found)),
        accepted=written.accepted,
        duplicates=rows.num_rows - new.num_rows,
        precision=figures.precision,
        recall=figures.recall,
        f1=figures.f1,
        tide=figures.tide,
        warnings=tuple(VerdictWarning(one.code, one.message, one.count) for one in joined.warnings),
    )


def _counts(found: Matches) -> Counter[str]:
    counts = Counter(dict.fromkeys(verdicts.TYPES, 0))
    counts.update(name for name in found.type.tolist() if name)
    counts["missed_object"] = len(found.missed)
    return counts


def _rows(joined: Joined, found: Matches) -> pa.Table:
    """One row a judged box, one a missed object, and one for an image that has neither: it was looked at."""
    import numpy as np
    import pyarrow as pa

    judged = np.flatnonzero(found.type != "")
    missed = found.missed
    owner = np.concatenate([joined.detections.image[judged], joined.objects.image[missed]])
    bare = np.setdiff1d(np.arange(len(joined.predictions)), owner)
    place = np.concatenate([owner, bare])
    nothing = np.full(len(bare), -1)
    object_ = np.concatenate([found.object[judged], missed, nothing])
    type_ = np.concatenate([found.type[judged], np.full(len(missed), "missed_object"), np.full(len(bare), "correct")])
    tide = np.concatenate([found.kind[judged], np.full(len(missed), "Miss"), np.full(len(bare), "")])
    index = np.concatenate([joined.index[judged], np.full(len(missed), -1), nothing])
    boxed = (object_ >= 0) & (type_ != "correct")
    known, of_known = object_ >= 0, object_[object_ >= 0]
    columns = {
        "line": pa.array(np.arange(1, len(place) + 1)),
        "prediction_id": pa.array(joined.predictions, pa.string()).take(pa.array(place)),
        "detection": pa.array(index, mask=index < 0).cast(pa.string()),
        "type": pa.array(type_.tolist(), pa.string()),
        "true_label": pa.array(joined.labels, pa.string()).take(_spread(joined.objects.label[of_known], known)),
        "number": _spread(joined.number[of_known], known),
        "tide": pa.array([kind or None for kind in tide.tolist()], pa.string()),
        "reason": pa.array(_reasons(type_.tolist(), tide.tolist()), pa.string()),
    }
    sides = joined.objects.xywh[:, object_[boxed]].astype(np.float32)
    boxes = {name: _spread(side, boxed) for name, side in zip("xywh", sides, strict=True)}
    return pa.table({**columns, **boxes})


def _spread(values: NDArray[Any], where: NDArray[np.bool_]) -> pa.Array:
    """The values at these places, null elsewhere."""
    import numpy as np
    import pyarrow as pa

    whole = np.zeros(len(where), values.dtype)
    whole[where] = values
    return pa.array(whole, mask=~where)


def _reasons(types: list[str], kinds: list[str]) -> list[str | None]:
    return [
        REASONS.get(kind, "duplicate") if type_ == "false_positive" else None
        for type_, kind in zip(types, kinds, strict=True)
    ]
