"""The ambiguity detector: what a log probably means, judged on its sample. Pure: columns in, findings out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.floating[Any]]

SAMPLE = 10_000
"""Records of a file that are judged; later ones are rejected one by one."""
SCORE_SLACK = 1e-6
FEW = 0.01
MANY = 0.2
SOME = 0.02
"""Boxes beyond the right or lower border that tell centres: in real logs 7 to 56 % when they are, 0.1 % when not."""
NEARLY_ALL = 0.99


@dataclass(frozen=True)
class Finding:
    """`option` (a field of Options) settles it, `hint` says how; `refuse`: nothing of the file is stored."""

    code: str
    message: str
    hint: str | None = None
    option: str | None = None
    refuse: bool = True
    impossible: bool = False
    """Refused even when the option was given."""


def boxes(xywh: Numbers, width: Numbers, height: Numbers, layout: str, given: bool = False) -> list[Finding]:
    """Findings on boxes.

    `xywh` (4, n): pixels from the top-left corner, as `layout` reads them; boxes that are placeholders left out.
    `width`, `height` (n): sizes of their images, NaN where unknown. `given`: the user named the layout.
    """
    import numpy as np

    n = xywh.shape[1]
    if not n:
        return []
    x, y, w, h = xywh
    normalised = (xywh >= 0).all(axis=0) & (xywh <= 1.01).all(axis=0)
    larger = np.isnan(width) | (width > 2) | (height > 2)
    if not layout.endswith("-norm") and (normalised & larger).mean() >= NEARLY_ALL:
        hint = f"--box-format {layout}-norm (with --image-size or --images where no size is logged)"
        return [
            Finding("looks_normalised", "the boxes lie in [0, 1]: shares of the image, not pixels?", hint, "box_format")
        ]
    with np.errstate(invalid="ignore"):
        impossible = (w <= 0) | (h <= 0) | _outside(xywh, width, height, 0.1)
        beyond = (x + w > width + 1) | (y + h > height + 1)
    if layout == "xywh":
        if beyond.mean() > MANY and ((w > x) & (h > y)).mean() >= NEARLY_ALL:
            return [
                _format(f"{_percent(beyond)} of the boxes leave the image: corners read as sizes?", "xyxy", impossible)
            ]
        centred = np.stack([x - w / 2, y - h / 2, w, h])
        if beyond.mean() > SOME and (~_outside(centred, width, height, 0, 1)).mean() >= NEARLY_ALL:
            what = f"{_percent(beyond)} of the boxes leave the image: centres read as corners?"
            return [_format(what, "cxcywh", impossible)]
    elif layout.startswith("xyxy") and ((w < 0) | (h < 0)).mean() > FEW:
        return [
            _format(
                f"{_percent((w < 0) | (h < 0))} of the boxes end before they begin: sizes read as corners?",
                "xywh",
                impossible,
            )
        ]
    far = _outside(xywh, width, height, 0.1)
    if far.mean() > MANY:
        what = f"{_percent(far)} of the boxes are more than 10 % outside their image"
        return [_format(what, "xyxy" if layout.startswith("xywh") else "xywh", impossible)]
    if impossible.mean() > 0.5 and (given or ((w < 0) | (h < 0)).mean() > 0.5):
        return [_format(f"{_percent(impossible)} of the boxes are impossible", "xyxy", impossible)]
    return []


def _format(message: str, better: str, impossible: NDArray[np.bool_]) -> Finding:
    return Finding("box_format", message, f"--box-format {better}", "box_format", True, bool(impossible.mean() > 0.5))


def _outside(xywh: Numbers, width: Numbers, height: Numbers, share: float, pixels: float = 0) -> NDArray[np.bool_]:
    """Boxes that leave their image by more than `share` of its side and `pixels`; False where no size is known."""
    import numpy as np

    x, y, w, h = xywh
    across, down = width * share + pixels, height * share + pixels
    with np.errstate(invalid="ignore"):
        left: NDArray[np.bool_] = (x < -across) | (y < -down) | (x + w > width + across) | (y + h > height + down)
    return left


def scores(confidence: Numbers) -> list[Finding]:
    """Findings on confidences (finite ones only)."""
    if not len(confidence):
        return []
    low, high = float(confidence.min()), float(confidence.max())
    outside = ((confidence < -SCORE_SLACK) | (confidence > 1 + SCORE_SLACK)).mean()
    if outside <= FEW:
        return []
    what = f"scores from {low:.4g} to {high:.4g}"
    if low < -SCORE_SLACK or high > 100:
        return [Finding("score_scale", f"{what}: logits?", "--score-scale logit", "score_scale")]
    if high > 2:
        return [Finding("score_scale", f"{what}: percent?", "--score-scale percent", "score_scale")]
    hint = "fix the logger, or --score-scale clip"
    return [Finding("score_scale", f"{what}: not probabilities", hint, "score_scale")]


def latency(milliseconds: Numbers) -> list[Finding]:
    """Findings on latencies (logged ones only)."""
    import numpy as np

    if len(milliseconds) < 100:
        return []
    median = float(np.median(milliseconds))
    if not median < 0.5:
        return []
    return [Finding("latency_unit", f"median latency {median:.4g}: seconds?", "--latency-unit s", "latency_unit")]


def times(zoneless: int, slashed: int, n: int, example: str | None) -> list[Finding]:
    """Findings on times: how many of `n` have no zone (and none was given), how many look like 03/04/2026."""
    if slashed > n / 2:
        what = f"times like {example}: day or month first?"
        return [Finding("date_order", what, "write ISO 8601, 2026-11-20T10:05:00Z")]
    if zoneless:
        return [Finding("no_zone", "times have no zone", "--tz Europe/Madrid", "tz")]
    return []


def categories(ids: Iterable[int], names: int, offset: int, *, told: bool = True) -> list[Finding]:
    """Findings on class ids that are looked up in a 0-based list of `names` names, after adding `offset`.

    `told`: the format says that its ids begin at 0; else ids without 0 may begin at 1, unless an offset was needed.
    """
    used = {number + offset for number in ids}
    if not used or not names:
        return []
    shown = f"class ids {min(used)} to {max(used)}" if len(used) > 1 else f"class id {min(used)}"
    if min(used) >= 0 and max(used) < names:
        if told or offset or min(used) == 0:
            return []
        what = f"{shown} of {names} names: do they begin at 0 or at 1?"
        hint = "--category-offset 0, or -1 where they begin at 1"
        return [Finding("category_base", what, hint, "category_offset")]
    what = f"{shown}, and {names} names (0 to {names - 1})"
    better = offset - min(used) if max(used) - min(used) < names else None
    hint = f"--category-offset {better}" if better is not None else "--categories: another list"
    return [Finding("category_base", what, hint, "category_offset")]


def ids(missing: int, n: int, of_log: str | None, of_list: str | None) -> list[Finding]:
    """Findings on image ids: how many of `n` are not in the list of images."""
    if not n or missing <= n / 2:
        return []
    what = f"{missing} of {n} image ids are not in the list of images (log: `{of_log}`, list: `{of_list}`)"
    return [Finding("ids_do_not_match", what, "--image-id stem", "image_id")]


def floors(by_source: dict[str, set[float]]) -> list[Finding]:
    """Two floors in one log, by source: probably two models."""
    values = sorted(set().union(*by_source.values())) if by_source else []
    if len(values) < 2 or any(len(found) > 1 for found in by_source.values()):
        return []
    what = f"confidence_floor differs by source ({', '.join(f'{value:g}' for value in values[:5])}): two models?"
    return [Finding("floor_moved", what, "--map model_id=COLUMN", refuse=False)]


def _percent(flags: NDArray[np.bool_]) -> str:
    return f"{100 * flags.mean():.0f} %"
