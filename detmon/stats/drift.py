"""Whether two windows differ by more than blocks of the same world do (docs/statistics.md, "Drift")."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from detmon.stats.blocks import Choice, Note, Settings
from detmon.stats.clusters import MIN_DF
from detmon.stats.distances import js_contributions, js_distances
from detmon.stats.distributions import t_isf
from detmon.stats.intervals import zero_events_upper
from detmon.stats.multiplicity import benjamini_hochberg, holm
from detmon.stats.probes import CLASS, MIN_DETECTIONS, BlockCounts, Probe, Table, class_probe, shortened

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DAY_PARTS = ("00-06", "06-12", "12-18", "18-24")
DISTANCES = ("class_drift", "confidence_drift", "count_drift")
MIN_PARTS = 2
"""Usable parts of the day that make a family of tests."""
MIN_APPEARANCE = 5
"""Detections that a new class has, and a gone one should have had."""
MIN_CELLS = 2
"""Hours, blocks or images in which they are seen."""
MIN_ALONE = 19
"""Reference blocks that make a new class in a single current block beyond chance (p = 1/20)."""
POWER = 0.8
"""How often a detectable change is detected."""
BEYOND = 10.0
"""The log of a change that no longer says anything."""


@dataclass(frozen=True)
class Effect:
    """A pooled value of both windows; `adjusted_p` is None where it was not tested."""

    reference: float | None
    current: float | None
    change: float | None
    adjusted_p: float | None


@dataclass(frozen=True)
class PartEffect:
    """A probe that moved in one part of the day."""

    part: str
    probe: str
    reference: float | None
    current: float | None
    change: float | None
    adjusted_p: float


@dataclass(frozen=True)
class ClassChange:
    """A label's share of the detections in both windows; `tag`: up, down, new, gone or None."""

    label: str
    reference_share: float | None
    current_share: float | None
    relative_change: float | None
    p_value: float | None
    adjusted_p: float | None
    affected: bool
    tag: str | None


@dataclass(frozen=True)
class UsualRange:
    """A distance between stretches of the reference itself."""

    median: float
    max: float


@dataclass(frozen=True)
class Verdict:
    """What a drift check says. Distances are None only if a side is empty, or their denominator unknown."""

    class_drift: float | None
    confidence_drift: float | None
    count_drift: float | None
    significant_drift: bool | None
    reason: Note
    affected_classes: tuple[str, ...]
    classes: tuple[ClassChange, ...]
    new_classes: tuple[str, ...]
    gone_classes: tuple[str, ...]
    effects: Mapping[str, Effect]
    """avg_confidence, detections_per_image, no_detection_rate, low_confidence_rate, above_median_confidence."""
    usual_range: Mapping[str, UsualRange | None]
    """By distance; None for source blocks."""
    usual_blocks: int
    """The number of blocks of a stretch in `usual_range`; fewer than the current blocks if the reference is short."""
    detectable_change: Mapping[str, float | None]
    """By effect: absolute, but detections_per_image relative; None where it was not tested."""
    detectable_class_change: Mapping[str, float | None]
    """By tested label: relative."""
    confidence_ks: float | None
    confidence_w1: float | None
    day_part_effects: tuple[PartEffect, ...]
    excluded_share: float | None
    """A class absent from the reference has, with 95 % confidence, a share below this one."""
    p_value: float | None
    """The smallest adjusted p of the check, for comparing sources; None without a verdict."""
    hits: tuple[str, ...]
    """The probes that moved, by p: `avg_confidence`, `class:car`, `18-24 class_mix`, …"""
    warnings: tuple[Note, ...]


def judge(
    choice: Choice,
    counts: BlockCounts,
    parts: Mapping[str, BlockCounts] | None = None,
    settings: Settings | None = None,
    *,
    denominator_known: bool = True,
) -> Verdict:
    """The verdict on two windows, whose `counts` have a row for each block of `choice.reference + choice.current`.

    `parts` are the same blocks by part of the day (keys: DAY_PARTS), wanted if `choice.parts`. Without blocks
    (`choice.size` None) `counts` has two rows, the windows. `denominator_known` is False when images without
    detections may be missing from the log: what counts images is then None.
    """
    settings = settings or Settings()
    table = Table.of(choice, counts, settings, denominator_known=denominator_known)
    if choice.reason:
        return _verdict(table, choice.reason)
    if table.design.df < MIN_DF:
        return _verdict(table, Note("too_few_blocks", "Too few blocks to judge."))
    families = _families(table, parts or {} if choice.parts else {})
    if not families.whole:
        message = f"Too few detections to judge: {MIN_DETECTIONS} in each period needed."
        return _verdict(table, Note("too_few_predictions", message))
    return _verdict(table, _decide(table, families))


def significant_among(verdicts: Sequence[Verdict], q: float) -> list[bool | None]:
    """Which of many checks, one a source, are significant when all are looked at; None where there is no verdict."""
    tested = [verdict.p_value for verdict in verdicts if verdict.p_value is not None]
    adjusted = iter(benjamini_hochberg(tested))
    return [None if v.p_value is None else next(adjusted) <= q and bool(v.hits) for v in verdicts]


# The decision --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Tested:
    """A probe of the whole blocks (`part` None) or of a part of the day, with its p among its family."""

    probe: Probe
    adjusted: float
    distance: float | None
    part: str | None = None

    @property
    def name(self) -> str:
        return f"{self.part} {self.probe.name}" if self.part else self.probe.name


@dataclass(frozen=True)
class _Families:
    """The two families of tests: whole blocks, and parts of the day; each with its p among the two."""

    whole: tuple[_Tested, ...]
    parts: tuple[_Tested, ...]

    @property
    def count(self) -> int:
        return 1 + bool(self.parts)

    def adjusted(self) -> tuple[float, float]:
        """The smallest p of each family, adjusted for there being two (Holm); 1 for a family that is not there."""
        smallest = [min(tested.adjusted for tested in family) for family in (self.whole, self.parts) if family]
        whole, *parts = holm(smallest)
        return whole, parts[0] if parts else 1.0


def _families(table: Table, parts: Mapping[str, BlockCounts]) -> _Families:
    tables = [(name, part) for name in sorted(parts) if (part := table.part(parts[name]))]
    whole = [(None, table, probe) for probe in table.probes(whole=True)]
    by_part = [(name, part, probe) for name, part in tables for probe in part.probes(whole=False)]
    return _Families(_tested(whole), _tested(by_part if len(tables) >= MIN_PARTS else []))


def _tested(probes: Sequence[tuple[str | None, Table, Probe]]) -> tuple[_Tested, ...]:
    adjusted = benjamini_hochberg([probe.p for _, _, probe in probes])
    return tuple(
        _Tested(probe, q, table.distances[probe.distance], part)
        for (part, table, probe), q in zip(probes, adjusted, strict=True)
    )


@dataclass(frozen=True)
class _Decision:
    """The hits of both families, and the labels of one window only."""

    families: _Families
    hits: tuple[_Tested, ...]
    appearances: _Appearances

    @property
    def significant(self) -> bool:
        return bool(self.hits) or bool(self.appearances.beyond_chance.any())


def _decide(table: Table, families: _Families) -> _Decision:
    level = table.choice.q
    hits = [
        tested
        for p, family in zip(families.adjusted(), (families.whole, families.parts), strict=True)
        for tested in family
        if p <= level and tested.adjusted <= level and (tested.distance or 0) >= table.settings.min_effect
    ]
    hits.sort(key=lambda tested: (tested.probe.p, tested.name))
    return _Decision(families, tuple(hits), _appearances(table, tested=table.choice.labels_tested))


# New and gone classes ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Appearances:
    """Labels [K] that only the current window shows, or only the reference; and which of them are so beyond chance."""

    new: NDArray[np.bool_]
    gone: NDArray[np.bool_]
    beyond_chance: NDArray[np.bool_]


def _appearances(table: Table, *, tested: bool) -> _Appearances:
    """New: several detections, in more than one cell. Gone: several expected, seen in more than one reference block.

    By chance, all blocks with the label would lie in one window: hypergeometric.
    """
    import numpy as np

    counts, settings, design = table.counts, table.settings, table.design
    reference, current = counts.window(counts.classes)
    seen = counts.classes > 0
    blocks = [seen[window].sum(axis=0) for window in (counts.current, ~counts.current)]
    expected = reference * (current.sum() / max(int(reference.sum()), 1))
    new = (reference == 0) & (current >= MIN_APPEARANCE) & (counts.cells >= MIN_CELLS)
    gone = (current == 0) & (expected >= MIN_APPEARANCE) & (blocks[1] >= MIN_CELLS)
    found = np.zeros(len(counts.labels), bool)
    if tested:
        frequent = np.flatnonzero(reference + current >= MIN_APPEARANCE)
        for listed, shown, width in ((new, blocks[0], design.m), (gone, blocks[1], design.n)):
            p = [_all_among(int(shown[k]), width, design.n + design.m) if listed[k] else 1.0 for k in frequent]
            found[frequent] |= np.asarray(benjamini_hochberg(p)) <= table.choice.q
        if design.m == 1 and design.n >= MIN_ALONE:
            found |= new & (current >= settings.min_class)
    return _Appearances(new, gone, found)


def _all_among(blocks: int, width: int, rows: int) -> float:
    """The probability that `blocks` drawn from `rows` are all among the same `width`."""
    return math.prod((width - j) / (rows - j) for j in range(blocks))


# The verdict ---------------------------------------------------------------------------------------------------------


def _verdict(table: Table, outcome: _Decision | Note) -> Verdict:
    """The decision, or why there is none, with all that is known without it."""
    decision = outcome if isinstance(outcome, _Decision) else None
    classes = _classes(table, decision)
    distances = table.distances
    detectable = _detectable(table, decision.families) if decision else _Detectable({}, {})
    return Verdict(
        class_drift=distances["class_drift"],
        confidence_drift=distances["confidence_drift"],
        count_drift=distances["count_drift"],
        significant_drift=decision.significant if decision else None,
        reason=outcome if isinstance(outcome, Note) else _reason(outcome, classes, detectable),
        affected_classes=_affected(table, classes),
        classes=classes,
        new_classes=tuple(change.label for change in classes if change.tag == "new"),
        gone_classes=tuple(change.label for change in classes if change.tag == "gone"),
        effects=_effects(table, decision),
        usual_range=_usual_range(table),
        usual_blocks=_usual_blocks(table),
        detectable_change=detectable.effects,
        detectable_class_change=detectable.classes,
        confidence_ks=table.confidence_ks,
        confidence_w1=table.confidence_w1,
        day_part_effects=_part_effects(decision) if decision else (),
        excluded_share=_excluded_share(table, decision.families) if decision else None,
        p_value=min(decision.families.adjusted()) if decision else None,
        hits=tuple(hit.name for hit in decision.hits) if decision else (),
        warnings=table.choice.warnings,
    )


def _classes(table: Table, decision: _Decision | None) -> tuple[ClassChange, ...]:
    """Every label, by name."""
    counts = table.counts
    tests = {tested.probe.name: tested for tested in decision.families.whole} if decision else {}
    hits = {hit.name for hit in decision.hits} if decision else set()
    appearances = decision.appearances if decision else _appearances(table, tested=False)
    windows = [window.tolist() for window in counts.window(counts.classes)]
    shares = [[count / sum(window) if sum(window) else None for count in window] for window in windows]
    found = []
    listed = (appearances.new, appearances.gone, appearances.beyond_chance)
    for label, p, q, new, gone, beyond in zip(counts.labels, *shares, *listed, strict=True):
        tested = tests.get(class_probe(label))
        change = q / p - 1 if p and q is not None else None
        moved = class_probe(label) in hits and (change is None or abs(change) >= table.settings.min_relative_change)
        direction = "down" if change is not None and change < 0 else "up"
        found.append(
            ClassChange(
                label=label,
                reference_share=p,
                current_share=q,
                relative_change=change,
                p_value=tested.probe.p if tested else None,
                adjusted_p=tested.adjusted if tested else None,
                affected=bool(moved or beyond),
                tag="new" if new else "gone" if gone else direction if moved else None,
            )
        )
    return tuple(found)


def _affected(table: Table, classes: Sequence[ClassChange]) -> tuple[str, ...]:
    """The affected labels, largest contribution to the class distance first."""
    import numpy as np

    affected = [change for change in classes if change.affected]
    shares = np.array([[change.reference_share or 0, change.current_share or 0] for change in affected]).reshape(-1, 2)
    contributions = js_contributions(shares[:, 0], shares[:, 1]).tolist()
    ranked = sorted(zip(affected, contributions, strict=True), key=lambda pair: (-pair[1], pair[0].label))
    return tuple(change.label for change, _ in ranked)


def _effects(table: Table, decision: _Decision | None) -> Mapping[str, Effect]:
    adjusted = {tested.probe.name: tested.adjusted for tested in decision.families.whole} if decision else {}
    return {
        name: Effect(a, b, b - a if a is not None and b is not None else None, adjusted.get(name))
        for name, (a, b) in table.effects()
    }


def _part_effects(decision: _Decision) -> tuple[PartEffect, ...]:
    return tuple(
        PartEffect(hit.part, hit.probe.name, *_change(hit.probe.pooled), hit.adjusted)
        for hit in decision.hits
        if hit.part
    )


def _change(pooled: tuple[float, float] | None) -> tuple[float | None, float | None, float | None]:
    return (*pooled, pooled[1] - pooled[0]) if pooled else (None, None, None)


def _excluded_share(table: Table, families: _Families) -> float | None:
    """What a class must be rarer than to be absent from the reference: 1 - .05^(1/N), N in independent detections."""
    detections = int(table.counts.window(table.counts.detections)[0])
    for tested in families.whole:
        if tested.probe.mean_deff:
            return zero_events_upper(detections / max(tested.probe.mean_deff, 1.0))
    return None


def _usual_blocks(table: Table) -> int:
    return min(table.design.m, table.design.n // 2) if table.choice.ranged else 0


def _usual_range(table: Table) -> Mapping[str, UsualRange | None]:
    """How far stretches of the reference, as long as the current window, are from the rest of it."""
    import numpy as np

    counts, width = table.counts, _usual_blocks(table)
    bins = {
        "class_drift": counts.classes,
        "confidence_drift": counts.confidence.reshape(len(counts.current), 20, -1).sum(axis=2),
        "count_drift": counts.objects if table.denominator_known else None,
    }
    found: dict[str, UsualRange | None] = dict.fromkeys(DISTANCES)
    for name, values in bins.items():
        if values is None or not width:
            continue
        reference = values[~counts.current].astype(float)
        sums = np.concatenate([np.zeros((1, values.shape[1])), reference.cumsum(axis=0)])
        stretches = sums[width:] - sums[:-width]
        distances = js_distances(stretches, sums[-1] - stretches)
        distances = distances[~np.isnan(distances)]
        if len(distances):
            found[name] = UsualRange(float(np.median(distances)), float(distances.max()))
    return found


# What the check could have seen --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Detectable:
    effects: Mapping[str, float | None]
    classes: Mapping[str, float | None]


def _detectable(table: Table, families: _Families) -> _Detectable:
    """The change that each probe of the whole blocks would find in four of five checks."""
    level = table.choice.q / (2 * families.count * len(families.whole))
    found = {tested.probe.name: _smallest_change(tested.probe, level) for tested in families.whole if tested.probe.test}
    return _Detectable(
        {name: found.get(name) for name, _ in table.effects()},
        {name.removeprefix(CLASS): change for name, change in found.items() if name.startswith(CLASS)},
    )


def _smallest_change(probe: Probe, level: float) -> float | None:
    """On the probe's natural scale; relative for classes and rates of detections.

    None if no change would be found: blocks that do not scatter at all, or so much that all changes are within it.
    """
    test = probe.test
    if test is None or not test.se or probe.pooled is None:
        return None
    delta = (t_isf(level, test.df) + t_isf(1 - POWER, test.df)) * test.se
    share = probe.pooled[0]
    if probe.scale == "log":
        return math.expm1(delta) if delta < BEYOND else None
    if probe.scale == "arcsine":
        delta = math.sin(min(math.asin(math.sqrt(share)) + delta, math.pi / 2)) ** 2 - share
    if probe.name.startswith(CLASS):
        return delta / share if share else None
    return delta if delta < 1 else None


# In words ------------------------------------------------------------------------------------------------------------

WORDS = {
    "avg_confidence": "mean confidence",
    "detections_per_image": "detections per image",
    "no_detection_rate": "images without detections",
    "low_confidence_rate": "low confidences",
    "above_median_confidence": "confidences above the usual median",
    "class_mix": "mix of classes",
}
PLAIN = ("avg_confidence", "detections_per_image")
"""What is not a share."""
NAMED = 4
"""So many findings are named in the reason."""


def _reason(decision: _Decision, classes: Sequence[ClassChange], detectable: _Detectable) -> Note:
    """One sentence: the findings in order of p, or what would have been seen."""
    if not decision.significant:
        return Note("no_drift", f"Nothing beyond the usual range; {_could_see(detectable)}.")
    moved = [_in_words(hit) for hit in decision.hits]
    one_sided = (change for change in classes if change.affected and change.tag in ("new", "gone"))
    moved += [f"{change.tag} class {shortened(change.label)}" for change in one_sided]
    more = f" and {len(moved) - NAMED} more" if len(moved) > NAMED else ""
    return Note("drift", f"Beyond the usual range: {', '.join(moved[:NAMED])}{more}.")


def _could_see(detectable: _Detectable) -> str:
    """What a check that found nothing would have found."""
    confidence, rate = (detectable.effects.get(name) for name in PLAIN)
    if confidence:
        return f"this check could see confidence changes of {confidence:.2g} or more"
    if rate:
        return f"this check could see changes of {rate:.0%} or more in detections per image"
    return "this check could hardly have seen any change"


def _in_words(hit: _Tested) -> str:
    """`mean confidence 0.74 → 0.71`, `share of car at 18-24 h 40.1 % → 48.3 %`."""
    name = hit.probe.name
    what = f"share of {shortened(name.removeprefix(CLASS))}" if name.startswith(CLASS) else WORDS[name]
    if hit.part:
        what = f"{what} at {hit.part} h"
    if not hit.probe.pooled:
        return what
    return f"{what} {' → '.join(_number(name, value) for value in hit.probe.pooled)}"


def _number(name: str, value: float) -> str:
    return f"{value:.3g}" if name in PLAIN else f"{100 * value:.3g} %"
