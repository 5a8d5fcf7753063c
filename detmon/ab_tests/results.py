"""The answer of a test at its last complete day: who is ahead in what, how sure that is, and whether anybody won."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from typing import Any

from detmon import reviewed
from detmon.ab_tests import arms, reading, reviews, verdict
from detmon.ab_tests.definition import METRICS, Comparison
from detmon.ab_tests.evidence import Evidence, Found
from detmon.ab_tests.reading import Cell, Scope
from detmon.ab_tests.records import ABArm, ABResults, ABWarning
from detmon.ab_tests.reviews import Reviewed, ReviewedSide
from detmon.ab_tests.settings import Settings
from detmon.stats import comparison, guardrails, looks, multiplicity
from detmon.stats.guardrails import Guardrail
from detmon.stats.looks import NOTHING, Judgement, Look
from detmon.store import Connection

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
EXPECTED = 10_000.0
"""Units expected of a test without a planned end whose models have no history."""


@dataclass
class Call:
    """A test being answered, and what is to be said beside its numbers; `withheld`: why there can be no verdict."""

    con: Connection
    test: Comparison
    now: datetime
    zones: tuple[tzinfo, tzinfo]
    settings: Settings
    quality: reviewed.Settings
    warnings: list[ABWarning] = field(default_factory=list)
    withheld: list[str] = field(default_factory=list)

    @property
    def days(self) -> int:
        """The complete days."""
        return self.test.days(self.now)

    @property
    def slot(self) -> timedelta:
        """How finely time is cut."""
        return HOUR if self.test.definition.mode == "always" else DAY

    def warn(self, code: str, message: str, *, withholds: bool = False) -> None:
        """Say something; `withholds`: no winner is named."""
        self.warnings.append(ABWarning(code, message))
        if withholds:
            self.withheld.append(message)


@dataclass(frozen=True)
class Answer:
    """One metric's judgement, and what was found at the last look."""

    judged: Judgement
    last: Found


def results(
    con: Connection,
    test: Comparison,
    now: datetime,
    zones: tuple[tzinfo, tzinfo],
    settings: Settings,
    quality: reviewed.Settings,
) -> ABResults:
    """The results of `test` at its last complete day before `now`; a function of the stored rows and these alone."""
    call = Call(con, test, now, zones, settings, quality)
    if call.days < 1:
        return _nothing(call, f"no complete day yet: the first ends {test.start + DAY:%Y-%m-%d %H:%M} UTC")
    scope, cells = _rows(call)
    seen = [sum(cell.counts["rows"] for cell in cells if cell.b == b) for b in (False, True)]
    if not all(seen):
        model = (test.model_a, test.model_b)[seen[0] > 0]
        return _nothing(call, f"no winner: {model} has no prediction in the test's time")
    return _answer(call, scope, cells)


def _rows(call: Call) -> tuple[Scope, list[Cell]]:
    """The sums of both arms; boxes below the higher of two floors are left out of both."""
    test = call.test
    metrics = {METRICS[metric] for metric in test.definition.metrics} | {"detections_per_image"}
    low = "low_confidence_rate" in metrics
    until = test.start + call.days * DAY
    scope = Scope(test.model_a, test.model_b, test.start, until, call.slot, test.definition.unit, low)
    cells = reading.cells(call.con, scope, sorted(metrics))
    histograms = reading.confidences(call.con, scope)
    floor = arms.floor_to_cut(cells, histograms)
    if floor is not None:
        told = f"the arms log boxes from different confidences on: both are cut at {floor / 1e6:g}"
        call.warn("confidence_floor_differs", told)
        scope = replace(scope, floor=floor)
        cells = reading.cells(call.con, scope, sorted(metrics))
    distance = arms.scale_distance(histograms, floor)
    if distance is not None and distance >= arms.FAR:
        told = f"the arms' confidences are distributed differently (distance {distance:.2f}): scores are not comparable"
        call.warn("confidence_scale_differs", told)
    return scope, cells


def _answer(call: Call, scope: Scope, cells: list[Cell]) -> ABResults:
    test, settings = call.test, call.settings
    kept = _concurrent(call, cells)
    sides = arms.make(call.con, scope, cells, kept, test, call.warn)
    unit, least = sides.unit, settings.least(sides.unit)
    units = sides.evidence.units(_slots(call, call.days))
    if min(units) < least:
        call.warn("too_few_units", f"{min(units)} units in an arm, {least} needed", withholds=True)
    srm = _sample_ratio(call, units, shadow=sides.shadow)
    answers = {
        metric: _judged_metric(call, sides.evidence, METRICS[metric], unit, least)
        for metric in test.definition.metrics
        if METRICS[metric] != "feedback_score"
    }
    feedback = _Feedback(call, replace(scope, unit=unit), sides, least)
    for metric in test.definition.metrics:
        if METRICS[metric] == "feedback_score":
            answers[metric] = feedback.answer()
    p_values = _p_values([(metric, answers[metric].judged.p) for metric in test.definition.metrics])
    checks = _guardrails(call, sides, feedback, least)
    judged = feedback.judged
    winner, sentence = verdict.decide(
        verdict.Case(
            models=(test.model_a, test.model_b),
            withheld=call.withheld,
            not_yet=_not_yet(call),
            feedback=feedback.state,
            precision=feedback.values,
            p=next((p_values[metric] for metric in p_values if METRICS[metric] == "feedback_score"), None),
            judged=judged,
            guardrails=checks,
            recalls=feedback.recalls,
            reviewed=feedback.progress,
            alpha=settings.alpha,
            confidence=_more_confident(call, answers),
        )
    )
    if any(METRICS[metric] == "avg_confidence" for metric in test.definition.metrics):
        call.warn("confidence_is_descriptive", "mean confidence describes a model, it does not rate it")
    primary = answers[test.definition.metrics[0]].judged
    shown = [{"day": look.end, "z": look.z, "boundary": look.boundary} for look in primary.looks]
    return ABResults(
        id=test.id,
        name=test.name,
        status=test.status(call.now),
        day=call.days,
        duration_days=test.definition.duration_days,
        start=test.start,
        unit=unit,
        mode=test.definition.mode,
        model_a=feedback.of_arm(sides.summary[0], 0),
        model_b=feedback.of_arm(sides.summary[1], 1),
        p_value=primary.p,
        p_values=p_values,
        effects={metric: _effect(answer) for metric, answer in answers.items()},
        srm=srm,
        guardrails=tuple(_shown(check) for check in checks),
        looks=tuple(shown),
        shadow=sides.shadow,
        agreement=reading.agreement(call.con, scope) if sides.shadow else None,
        winner=winner,
        verdict=sentence,
        provisional=feedback.state == "provisional",
        withheld=tuple(call.withheld),
        later=reading.later(call.con, replace(scope, start=scope.until, until=max(scope.until, call.now))),
        warnings=tuple(call.warnings),
    )


def _nothing(call: Call, sentence: str) -> ABResults:
    test = call.test
    return ABResults(
        id=test.id,
        name=test.name,
        status=test.status(call.now),
        day=call.days,
        duration_days=test.definition.duration_days,
        start=test.start,
        unit=test.definition.unit,
        mode=test.definition.mode,
        model_a=ABArm(test.model_a),
        model_b=ABArm(test.model_b),
        p_value=None,
        p_values=dict.fromkeys(test.definition.metrics),
        effects={},
        srm={"p_value": None, "ok": True},
        guardrails=(),
        looks=(),
        shadow=False,
        agreement=None,
        winner=None,
        verdict=sentence,
        provisional=False,
        withheld=(sentence,),
        later={},
        warnings=tuple(call.warnings),
    )


# --- days and units ------------------------------------------------------------------------------------------------


def _slots(call: Call, days: int) -> int:
    return days * (DAY // call.slot)


def _concurrent(call: Call, cells: Sequence[Cell]) -> Callable[[int], bool]:
    """Which slots count: those of the days on which both arms had traffic."""
    a_day = DAY // call.slot
    arms_of: dict[int, set[bool]] = defaultdict(set)
    for cell in cells:
        arms_of[cell.slot // a_day].add(cell.b)
    alone = {day for day, present in arms_of.items() if len(present) == 1}
    if alone:
        told = f"{len(alone)} of {call.days} days have traffic in one arm only and are left out"
        call.warn("not_concurrent", told, withholds=len(alone) > call.days / 2)
    return lambda slot: slot // a_day not in alone


def _sample_ratio(call: Call, units: tuple[int, int], *, shadow: bool) -> dict[str, Any]:
    split, total = call.test.definition.traffic_split, sum(units)
    if shadow or min(total * split, total * (1 - split)) < 8:
        return {"p_value": None, "ok": True}
    p = comparison.sample_ratio_p(units, (1 - split, split))
    ok = p >= call.settings.srm_alpha
    if not ok:
        told = f"B has {units[1] / total:.1%} of the units, not {split:.1%}: set --traffic-split to the real split"
        call.warn("sample_ratio", told, withholds=True)
    return {"p_value": p, "ok": ok}


# --- judging -------------------------------------------------------------------------------------------------------


def _judge(call: Call, found: Sequence[Look], least: int) -> Judgement:
    definition = call.test.definition
    if definition.mode == "daily":
        return looks.daily(found, definition.duration_days, least, call.settings.alpha)
    if definition.mode == "fixed":
        return looks.fixed(found, definition.duration_days, least, call.settings.alpha)
    return looks.always(found, call.test.expected_units or EXPECTED, least, call.settings.alpha)


def _judged_metric(call: Call, evidence: Evidence, metric: str, unit: str, least: int) -> Answer:
    a_day = DAY // call.slot
    step = 1 if unit == "image_id" else a_day  # looks within a day need units that come and go
    found = []
    last = Found(None, "none", "no data")
    for end in range(step, _slots(call, call.days) + 1, step):
        last = evidence.found(metric, end)
        if last.difference is not None:
            units = evidence.units(end)
            found.append(Look(end / a_day, units, information(unit, units, end / a_day), last.difference))
    return Answer(_judge(call, found, least), last)


def information(unit: str, units: tuple[int, int], days: float) -> float:
    """What a look knows: units that come and go add up; other units are the same every day."""
    return 1 / (1 / units[0] + 1 / units[1]) if unit == "image_id" and min(units) else days


def _not_yet(call: Call) -> str | None:
    definition = call.test.definition
    if definition.mode == "fixed" and call.days < definition.duration_days:
        return f"not yet (day {call.days} of {definition.duration_days})"
    return None


def _p_values(found: Sequence[tuple[str, float | None]]) -> dict[str, float | None]:
    """The first metric's p-value as it is, the others' adjusted for one another (Holm); those without one stay out."""
    values = dict(found)
    others = [metric for metric, p in found[1:] if p is not None]
    adjusted = multiplicity.holm([float(values[metric] or 0.0) for metric in others])
    return values | dict(zip(others, adjusted, strict=True))


def _more_confident(call: Call, answers: dict[str, Answer]) -> float | None:
    for metric, answer in answers.items():
        if METRICS[metric] == "avg_confidence" and answer.judged.p is not None and answer.last.difference is not None:
            return answer.last.difference.est if answer.judged.p <= call.settings.alpha else None
    return None


def _effect(answer: Answer) -> dict[str, Any]:
    judged, last = answer.judged, answer.last
    difference = judged.difference or last.difference
    found = {
        "difference": None if difference is None else difference.est,
        "low": judged.low,
        "high": judged.high,
        "method": last.method,
    }
    return found | ({"reason": last.reason} if last.reason else {})


def _shown(check: Guardrail) -> dict[str, Any]:
    return {"metric": check.metric, "status": check.status, "observed": check.observed, "limit": check.limit}


# --- reviews -------------------------------------------------------------------------------------------------------


class _Feedback:
    """The reviews of a test: judged look by look, as far as they may be."""

    def __init__(self, call: Call, scope: Scope, sides: arms.Arms, least: int) -> None:
        self.call, self.sides, self.least, self.unit = call, sides, least, scope.unit
        self.listed = any(METRICS[metric] == "feedback_score" for metric in call.test.definition.metrics)
        self.looks: list[tuple[int, Reviewed, Found]] = []
        self.state: verdict.Feedback = "none" if self.listed else "not listed"
        self.judged: Judgement = NOTHING
        if not reviews.there_are_any(call.con, scope):
            return
        only_the_last = call.test.definition.mode == "fixed"
        for end in range(call.days if only_the_last else 1, call.days + 1):
            found = reviews.read(call.con, scope, call.zones, call.quality, end, sides.keep, shadow=sides.shadow)
            self.looks.append((end, found, self._found(found)))
        if self.listed:
            self._judge()

    @property
    def last(self) -> Reviewed | None:
        """The reviews up to the last complete day."""
        return self.looks[-1][1] if self.looks else None

    @property
    def values(self) -> tuple[float, float] | None:
        """Each arm's precision."""
        return self._pair(self.last.precision) if self.last else None

    @property
    def recalls(self) -> tuple[float, float] | None:
        """Each arm's recall."""
        return self._pair(self.last.recall) if self.last and self.last.recall else None

    @property
    def progress(self) -> tuple[int, int]:
        """Reviewed and selected items of both arms."""
        sides = self.last.precision if self.last else ()
        return sum(side.done for side in sides), sum(side.selected for side in sides)

    def answer(self) -> Answer:
        """As the other metrics have it."""
        return Answer(self.judged, self.looks[-1][2] if self.looks else reviews.NO_REVIEWS)

    def of_arm(self, arm: ABArm, place: int) -> ABArm:
        """The arm's summary with its reviews."""
        if self.last is None:
            return replace(arm, reviewed=0)
        side = self.last.precision[place]
        estimate = reviews.arm(side)
        return replace(arm, reviewed=side.images, feedback_score=estimate.value if estimate else None)

    def _found(self, found: Reviewed) -> Found:
        return reviews.difference(found, units_are_images=self.unit == "image_id")

    def _judge(self) -> None:
        last = self.looks[-1][1].precision
        every = self._as_looks(self.looks)
        if not all(side.chosen_by_chance for side in last):
            self.state = "self-selected"
            told = "the reviewed images were not chosen by chance: they make no winner"
            self.call.warn("feedback_self_selected", told)
            self.judged = _judge(self.call, every, self.least)
            return
        if len({side.rules for side in last}) > 1 and not all(side.basis == "census" for side in last):
            told = "the arms' reviewed images were selected by different rules"
            self.call.warn("feedback_not_comparable", told, withholds=True)
        whole = [look for look in self.looks if all(self._complete(side) for side in look[1].precision)]
        decided = _judge(self.call, self._as_looks(whole), self.least)
        settled = decided.p is not None and decided.p <= self.call.settings.alpha
        if settled or (whole and whole[-1] is self.looks[-1]):
            self.state, self.judged = "decided", decided
        else:
            self.state, self.judged = "provisional", _judge(self.call, every, self.least)

    def _complete(self, side: ReviewedSide) -> bool:
        return side.complete(self.call.settings.review_complete)

    def _as_looks(self, some: Sequence[tuple[int, Reviewed, Found]]) -> list[Look]:
        found = []
        for day, read, one in some:
            if one.difference is None:
                continue
            estimates = [reviews.arm(side) for side in read.precision]
            units = tuple(estimate.units if estimate else 0 for estimate in estimates)
            pair = (units[0], units[1])
            found.append(Look(day, pair, information(self.unit, pair, day), one.difference))
        return found

    @staticmethod
    def _pair(sides: tuple[ReviewedSide, ReviewedSide]) -> tuple[float, float] | None:
        a, b = (reviews.arm(side) for side in sides)
        return (a.value, b.value) if a and b else None


# --- guardrails ----------------------------------------------------------------------------------------------------


def _guardrails(call: Call, sides: arms.Arms, feedback: _Feedback, least: int) -> list[Guardrail]:
    """Recall where reviews show it, else objects per image; and latency."""
    found: list[Guardrail | None] = []
    recall = reviews.recall_difference(feedback.last, least) if feedback.last else None
    if recall is not None and feedback.values:
        ahead = 1 if feedback.values[1] >= feedback.values[0] else -1
        found.append(guardrails.recall_not_worse(replace(recall, est=ahead * recall.est)))
    elif not sides.unknown_denominator:
        pair = sides.evidence.arms("detections_per_image", _slots(call, call.days))
        found.append(guardrails.objects_not_fewer(*pair) if pair else None)
    found.append(arms.latency_guardrail(sides.latencies))
    return [check for check in found if check is not None]
