"""Causes that are not the world (another floor, other labels, other cameras), named only where the data show them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from detmon.drift.compare import Comparison
from detmon.drift.records import SourceMix
from detmon.drift.sources import MIX_MOVED
from detmon.drift.windows import Window
from detmon.stats.blocks import Note
from detmon.stats.distances import js_distance
from detmon.stats.probes import CLASS, shortened

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Whole = NDArray[np.int64]

ENOUGH = 300
"""Detections a period needs before its lowest confidences, or the roundness of its scores, say something."""
EDGE_QUANTILE = 0.001
EDGE_MOVED = 0.02
"""The confidence below which a thousandth of the detections lies has moved so far: another floor …"""
EDGE_SHARE = 0.005
EDGE_DETECTIONS = 5
"""… if so many lie within `EDGE_MOVED` above it: a tail thins out, a floor cuts."""
CUT_SHARE = 0.8
"""… unless it leaves less than this share: then there are fewer detections an image, too …"""
EXPLAINED = 0.5
"""… and if above the higher floor the confidences are so much nearer: a cut leaves the rest as it was."""
ROUND = 0.99
"""Share of the confidences that are whole hundredths, of scores that were rounded."""
SCALE_MOVED = 0.1
"""Distance of the confidences from which on another scale is considered."""
ALIKE = 0.5
"""Another scale moves the mean confidence of every source, by at least this share of the usual move."""
SAME_SHARE = 0.8
RENAMED_SHARE = 0.02
"""A label that is gone and a new one may be the same if both shares are at least this, and near each other."""
REPLACED_SHARE = 0.9
"""Labels of such a share are of one period only: the list of classes is another."""
MERGED = 2
"""So many labels are gone at once, of a list of classes that was collapsed."""
NAMED = 4
"""So many labels are named."""
LABELS_SET = "`--categories` or `--map` at ingest sets them."
CAPPED_SHARE = 0.9
CAPPED_AT = 3
"""So many images have the same number of detections, this one or more, and none has more: the best few are kept."""
PILED_SHARE = 0.5
"""The same, if the other period has more in some images, and so large a part of these is found at this number."""
MIN_IMAGES = 20
"""Images that a period needs for its numbers of detections to tell something."""
EMPTIES = 20
"""So many images without detections are expected, and so many with a single one are there, but none without."""
NOISE = 2.0
"""A mix of sources has moved if its distance is so many times what chance alone gives."""
NAMES = ("reference", "current")


def named(found: Comparison, mix: SourceMix, silent: Sequence[str]) -> list[Note]:
    """What else than the world may have moved the numbers; `silent`: the sources that ended."""
    sides = found.counts.window(found.counts.confidence)
    capped = list(_capped(found))
    notes = [
        _silent(found, silent),
        _source_mix(found, mix),
        _floor(found, sides) or _rounding(sides) or (None if capped else _scale(found)),
        _labels(found),
        *_unscored(found),
        *capped,
        _denominators(found),
    ]
    return [note for note in notes if note]


def _silent(found: Comparison, names: Sequence[str]) -> Note | None:
    if not names or not found.verdict.significant_drift:
        return None
    text = f"What {_listed([shortened(name) for name in names])} showed is missing since"
    return Note("source_silent", f"{text}: `--by source` judges each source alone.")


def _source_mix(found: Comparison, mix: SourceMix) -> Note | None:
    images = [window.images for window in (found.reference, found.current)]
    kinds = len({*found.reference.sources, *found.current.sources})
    if mix.drift is None or mix.drift < MIX_MOVED or mix.drift < NOISE * chance(kinds, *images):
        return None
    text = f"The images come from other sources, or in other shares (distance {mix.drift:.2f})"
    if mix.class_drift_same_mix is not None:
        text += f"; with the reference's shares of the sources, class drift would be {mix.class_drift_same_mix:.3f}"
    return Note("source_mix_changed", f"{text}.")


def chance(kinds: int, n: int, m: int) -> float:
    """The distance that two samples of the same `kinds` have by chance (docs/statistics.md, "Distances")."""
    return math.sqrt(max(kinds - 1, 0) / (8 * math.log(2)) * (1 / max(n, 1) + 1 / max(m, 1)))


def _floor(found: Comparison, sides: Sequence[Whole]) -> Note | None:
    """Another floor that no log tells of: the lower end of the confidences has moved, and it is a cut."""
    told = all(window.logged.floors for window in (found.reference, found.current))
    if told or min(int(side.sum()) for side in sides) < ENOUGH:
        return None
    edges = [_edge(side) for side in sides]
    higher = max(edges)
    cut = edges.index(higher)
    near = int(sides[cut][higher : higher + round(EDGE_MOVED * 1000)].sum())
    sharp = near >= max(EDGE_SHARE * sides[cut].sum(), EDGE_DETECTIONS)
    fell = _fell(found, sides, cut, higher)
    if higher - min(edges) <= EDGE_MOVED * 1000 or fell is False or not (sharp or fell):
        return None
    whole, above = (js_distance(*(_twentieths(side, start) for side in sides)) for start in (0, higher))
    if whole is None or above is None or above > EXPLAINED * whole:
        return None
    text = f"The lowest confidences were {edges[0] / 1000:.2f} and are {edges[1] / 1000:.2f}: another score threshold."
    return Note("confidence_floor_moved", f"{text} `ingest --confidence-floor` tells what it was.")


def _fell(found: Comparison, sides: Sequence[Whole], cut: int, edge: int) -> bool | None:
    """Whether the `cut` side has fewer detections an image, as a cut at `edge` makes them; None: nobody can tell."""
    kept = float(sides[1 - cut][edge:].sum() / sides[1 - cut].sum())
    if not found.denominator_known or kept > CUT_SHARE:
        return None
    images = found.counts.window(found.counts.images)
    rates = [float(side.sum()) / int(n) for side, n in zip(sides, images, strict=True)]
    fall = math.log(rates[cut] / rates[1 - cut])
    return kept > 0 and abs(fall - math.log(kept)) < abs(fall)


def _edge(side: Whole) -> int:
    """The bin in which the lowest thousandth of the detections ends."""
    return int((side.cumsum() >= EDGE_QUANTILE * side.sum()).argmax())


def _twentieths(side: Whole, start: int) -> list[int]:
    """The confidences from the bin `start` on, in twentieths."""
    kept = side.copy()
    kept[:start] = 0
    counts: list[int] = kept.reshape(20, -1).sum(axis=1).tolist()
    return counts


def _rounding(sides: Sequence[Whole]) -> Note | None:
    if min(int(side.sum()) for side in sides) < ENOUGH:
        return None
    round_shares = [float(side[::10].sum() / side.sum()) for side in sides]
    if max(round_shares) < ROUND or min(round_shares) > ALIKE:
        return None
    name = NAMES[round_shares.index(max(round_shares))]
    return Note(
        "score_scale_changed", f"The scores of the {name} period are rounded to hundredths, the others are not."
    )


def _scale(found: Comparison) -> Note | None:
    """Confidences moved far and in every source alike, while what was detected did not move at all."""
    verdict = found.verdict
    if found.reference.floor is not None:  # the means of the sources are those of all detections
        return None
    if (verdict.confidence_drift or 0) < SCALE_MOVED or not verdict.significant_drift or verdict.affected_classes:
        return None
    others = {"detections_per_image", "no_detection_rate", "class_mix"}
    if any(hit.split()[-1] in others or hit.startswith(CLASS) for hit in verdict.hits):
        return None
    means = [_means(window) for window in (found.reference, found.current)]
    moves = sorted(means[1][source] - means[0][source] for source in means[0].keys() & means[1].keys())
    if len(moves) < 2 or moves[0] * moves[-1] <= 0:
        return None
    if min(map(abs, moves)) < ALIKE * abs(moves[len(moves) // 2]):
        return None
    text = "The confidences of every source moved alike, while classes and counts did not: another scale of the scores?"
    return Note("score_scale_changed", text)


def _means(window: Window) -> Mapping[str, float]:
    """The mean confidence of each source that has enough of them."""
    logged = window.logged
    micro, scored = logged.by_source(logged.micro), logged.by_source(logged.scored)
    return {name: micro[name] / n / 1e6 for name, n in scored.items() if n >= ENOUGH / 3}


# --- labels ----------------------------------------------------------------------------------------------------------


def _labels(found: Comparison) -> Note | None:
    """Labels of one period only that look like those of the other one only, or that went into another label."""
    reference, current = found.counts.window(found.counts.classes)
    shares = [side / max(int(side.sum()), 1) for side in (reference, current)]
    labels = found.counts.labels
    gone = {label: float(p) for label, p, q in zip(labels, *shares, strict=True) if p and not q}
    new = {label: float(q) for label, p, q in zip(labels, *shares, strict=True) if q and not p}
    pairs = _renamed(gone, new)
    if pairs:
        text = _listed([f"{shortened(old)} → {shortened(pairs[old])}" for old in _by_share(pairs, gone)])
        return Note("labels_renamed", f"Labels look renamed: {text}. {LABELS_SET}")
    if min(sum(gone.values()), sum(new.values())) > REPLACED_SHARE:
        return Note("labels_renamed", f"All labels are other ones ({_most(new)}). {LABELS_SET}")
    if min(len(gone), len(new)) > 1 and _near(sum(gone.values()), sum(new.values())):
        text = f"{_most(gone)} → {_most(new)}"
        return Note("labels_renamed", f"Labels look renamed, as many as are new are gone: {text}. {LABELS_SET}")
    return _merged(found, dict(zip(labels, zip(*(side.tolist() for side in shares), strict=True), strict=True)))


def _merged(found: Comparison, shares: Mapping[str, tuple[float, float]]) -> Note | None:
    """Most classes are gone at once, and a single other one has what they had: a list of classes was collapsed."""
    gone = {label: shares[label][0] for label in found.verdict.gone_classes}
    usual = [label for label, (share, _) in shares.items() if share >= min(gone.values(), default=1)]
    if len(gone) < MERGED or len(gone) < len(usual) / 2 or not _only_classes(found) or not _same_sources(found):
        return None
    grown, growth = max(((label, q - p) for label, (p, q) in shares.items()), key=lambda pair: pair[1])
    others = sum(max(q - p, 0) for label, (p, q) in shares.items() if label != grown)
    if growth < RENAMED_SHARE or others > growth * (1 - SAME_SHARE):
        return None
    text = f"{len(gone)} labels are gone at once, and {shortened(grown)} has grown by their share"
    return Note("labels_renamed", f"{text}: {_most(gone)} → {shortened(grown)}? {LABELS_SET}")


def _only_classes(found: Comparison) -> bool:
    """Whether about as many boxes were detected, about as confidently: nothing but their classes is other."""
    effects = (found.verdict.effects[name] for name in ("detections_per_image", "avg_confidence"))
    return all(
        not effect.reference or effect.current is None or abs(effect.current / effect.reference - 1) <= 1 - SAME_SHARE
        for effect in effects
    )


def _same_sources(found: Comparison) -> bool:
    """Whether half of the images of each period, or more, are of sources that the other one shows, too."""
    windows = (found.reference, found.current)
    shared = found.reference.sources.keys() & found.current.sources.keys()
    return all(2 * sum(window.sources[name] for name in shared) >= window.images for window in windows)


def _by_share(names: Iterable[str], shares: Mapping[str, float]) -> list[str]:
    return sorted(names, key=lambda name: (-shares[name], name))


def _most(shares: Mapping[str, float]) -> str:
    return _listed([shortened(name) for name in _by_share(shares, shares)])


def _listed(names: Sequence[str]) -> str:
    """The first few, and how many more."""
    shown = ", ".join(names[:NAMED])
    return f"{shown} and {len(names) - NAMED} more" if len(names) > NAMED else shown


def _renamed(gone: Mapping[str, float], new: Mapping[str, float]) -> dict[str, str]:
    """Old → new: the same letters, else numbers for names (by share), else a single one of the same share."""
    letters = {_letters(name): name for name in new}
    pairs = {old: letters[_letters(old)] for old in gone if _letters(old) in letters}
    left, fresh = ([name for name in side if name not in {*pairs, *pairs.values()}] for side in (gone, new))
    few, many = sorted((len(left), len(fresh)))
    if many >= 2 * few and min(sum(gone.values()), sum(new.values())) > REPLACED_SHARE:  # not one for one
        return pairs
    numbers = [sum(name.isdecimal() for name in side) for side in (left, fresh)]
    if len(left) > 1 and len(fresh) > 1 and numbers in ([0, len(fresh)], [len(left), 0]):
        ranked = zip(
            sorted(left, key=lambda name: -gone[name]), sorted(fresh, key=lambda name: -new[name]), strict=False
        )
        return {**pairs, **dict(ranked)}
    for old in left:
        alike = [name for name in fresh if _near(gone[old], new[name])]
        twins = [name for name in left if alike and _near(gone[name], new[alike[0]])]
        if len(alike) == 1 and len(twins) == 1:
            pairs[old] = alike[0]
    return pairs


def _letters(label: str) -> str:
    """A label without case, spaces and signs; a label of signs only is itself."""
    return re.sub(r"[\W_]+", "", label).casefold() or label


def _near(p: float, q: float) -> bool:
    return min(p, q) >= max(RENAMED_SHARE, SAME_SHARE * max(p, q))


def _unscored(found: Comparison) -> Iterator[Note]:
    counts = found.counts
    sides = zip(NAMES, counts.window(counts.detections), counts.window(counts.scored), strict=True)
    for name, detections, scored in sides:
        if scored < detections:
            share = 1 - scored / detections
            text = f"{100 * share:.3g} % of the detections of the {name} period have no confidence"
            yield Note("confidence_missing", f"{text}: what is said of confidences leaves them out.")


# --- counts ----------------------------------------------------------------------------------------------------------


def _capped(found: Comparison) -> Iterator[Note]:
    sides = found.counts.window(found.counts.objects)
    for name, objects, others in zip(NAMES, sides, sides[::-1], strict=True):
        most = int(objects.nonzero()[0].max(initial=0))
        images = int(objects.sum())
        if not 0 < most < len(objects) - 1 or images < MIN_IMAGES:
            continue
        share = objects[most] / images
        more, piled = (others[start:].sum() / max(int(others.sum()), 1) for start in (most + 1, most))
        constant = most >= CAPPED_AT and share >= CAPPED_SHARE
        if constant or (more * images >= MIN_IMAGES and share >= PILED_SHARE * piled):
            text = f"No image of the {name} period has more than {most} detections, {share:.0%} have so many"
            yield Note(
                "boxes_capped",
                f"{text}: the best are kept, so counts say little, and confidences depend on what is cut.",
            )


def _denominators(found: Comparison) -> Note | None:
    known = [window.logged.denominator_known for window in (found.reference, found.current)]
    if known[0] != known[1]:
        text = (
            f"The log of the {NAMES[known.index(False)]} period may lack images without detections, the other does not."
        )
        return Note("denominator_changed", f"{text} --images, --frames or --complete at ingest settles it.")
    if not known[0]:
        return Note(
            "denominator_unknown", "Images without detections may be missing: rates per image are not compared."
        )
    objects = [side.tolist() for side in found.counts.window(found.counts.objects)]
    for name, ours, theirs in ((NAMES[0], *objects), (NAMES[1], *reversed(objects))):
        if not ours[0] and min(theirs[0] / max(sum(theirs), 1) * sum(ours), ours[1]) >= EMPTIES:
            share = theirs[0] / sum(theirs)
            text = f"The {name} period has no image without detections, the other {share:.0%}: are they not logged?"
            return Note("denominator_changed", text)
    return None
