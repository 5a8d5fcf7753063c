"""The answer of a test at its last complete day: who is ahead in what, how sure that is, and whether anybody won."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from typing import Any

from detmon import reviewed
from detmon.ab_tests import arms, reading, reviews, verdict
from detmon.ab_tests.arms import Arms
from detmon.ab_tests.call import Answer, Call, information, judge
from detmon.ab_tests.definition import METRICS, Comparison
from detmon.ab_tests.evidence import TOO_FEW, Found
from detmon.ab_tests.feedback import Feedback
from detmon.ab_tests.reading import DAY, Cell, Scope
from detmon.ab_tests.records import ABArm, ABResults
from detmon.ab_tests.settings import Settings
from detmon.stats import comparison, guardrails, multiplicity
from detmon.stats.guardrails import Guardrail
from detmon.stats.looks import NOTHING, Look
from detmon.store import Connection, pruned_before

HOUR = timedelta(hours=1)
PER_IMAGE = ("detections_per_image", "no_detection_rate", "error_rate")
NO_DENOMINATOR = Found(None, "none", "images without detections are not in the log")


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
        return _nothing(call, _no_day(call))
    if pruned := _pruned(con, test):
        return _nothing(call, pruned)
    scope, cells = _rows(call)
    seen = [sum(cell.counts["rows"] for cell in cells if cell.b == b) for b in (False, True)]
    if not all(seen):
        model = (test.model_a, test.model_b)[seen[0] > 0]
        return _nothing(call, f"no winner: {model} has no prediction in the test's time")
    scope = _concurrent(call, scope, cells)
    cells = [cell for cell in cells if scope.counts(cell.slot * scope.slot // DAY)]
    if not cells:
        return _nothing(call, "no verdict: " + "; ".join(call.withheld))
    return _answer(call, arms.make(con, scope, cells, test, call.warn))


def _pruned(con: Connection, test: Comparison) -> str | None:
    """Why a test of which rows are gone says nothing any more."""
    for model in (test.model_a, test.model_b):
        before = pruned_before(con, model)
        if before is not None and test.start < before:
            return f"no verdict: rows of {model} before {before:%Y-%m-%d %H:%M} UTC are pruned, some of this test's"
    return None


def _no_day(call: Call) -> str:
    if call.test.stopped_at is not None:
        return "no verdict: stopped before the first day was complete"
    return f"no complete day yet: the first ends {call.test.start + DAY:%Y-%m-%d %H:%M} UTC"


def _rows(call: Call) -> tuple[Scope, list[Cell]]:
    """The sums of both arms; boxes below the higher of two floors are left out of both."""
    test = call.test
    metrics = {METRICS[metric] for metric in test.definition.metrics} | {"detections_per_image"}
    low = "low_confidence_rate" in metrics
    hourly = test.definition.mode == "always" and test.definition.unit == "image_id"
    slot = HOUR if hourly else DAY
    until = test.start + (test.until(call.now) - test.start) // slot * slot
    scope = Scope(test.model_a, test.model_b, test.start, until, slot, test.definition.unit, low)
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


def _concurrent(call: Call, scope: Scope, cells: Sequence[Cell]) -> Scope:
    """The scope without the days on which only one arm had traffic."""
    arms_of: dict[int, set[bool]] = defaultdict(set)
    for cell in cells:
        arms_of[cell.slot * scope.slot // DAY].add(cell.b)
    alone = tuple(sorted(day for day, present in arms_of.items() if len(present) == 1))
    if alone:
        told = f"{len(alone)} of {call.days} days have traffic in one arm only and are left out"
        call.warn("not_concurrent", told, withholds=len(alone) > call.days / 2)
    return replace(scope, left_out=alone)


def _answer(call: Call, sides: Arms) -> ABResults:
    test, settings, metrics = call.test, call.settings, call.test.definition.metrics
    least = settings.least(sides.scope.unit)
    units = sides.evidence.units(_slots(call, sides.scope))
    if min(units) < least:
        call.warn("too_few_units", f"{min(units)} units in an arm, {least} needed", withholds=True)
    srm = _sample_ratio(call, units, shadow=sides.scope.common)
    feedback = Feedback(call, sides)
    answers = {
        metric: feedback.answer() if METRICS[metric] == "feedback_score" else _judged(call, sides, METRICS[metric])
        for metric in metrics
    }
    p_values = _p_values([(metric, answers[metric].judged.p) for metric in metrics])
    checks = _guardrails(sides, feedback, least)
    case = verdict.Case(
        models=(test.model_a, test.model_b),
        withheld=call.withheld,
        not_yet=_not_yet(call),
        feedback=feedback.state,
        precision=feedback.values,
        p=next((p for metric, p in p_values.items() if METRICS[metric] == "feedback_score"), None),
        judged=feedback.judged,
        guardrails=checks,
        recalls=feedback.recalls,
        reviewed=feedback.progress,
        alpha=settings.alpha,
        confidence=_more_confident(call, answers),
    )
    winner, sentence = verdict.decide(case)
    if any(METRICS[metric] == "avg_confidence" for metric in metrics):
        call.warn("confidence_is_descriptive", "mean confidence describes a model, it does not rate it")
    primary = answers[metrics[0]].judged
    after = replace(sides.scope, start=sides.scope.until, until=max(sides.scope.until, call.now))
    return replace(
        _nothing(call, sentence),
        unit=sides.scope.unit,
        model_a=feedback.of_arm(sides.summary[0], 0),
        model_b=feedback.of_arm(sides.summary[1], 1),
        p_value=primary.p,
        p_values=p_values,
        effects={metric: _effect(answer) for metric, answer in answers.items()},
        srm=srm,
        guardrails=tuple(_shown(check) for check in checks),
        looks=tuple({"day": look.end, "z": look.z, "boundary": look.boundary} for look in primary.looks),
        shadow=sides.scope.common,
        agreement=reading.agreement(call.con, sides.scope) if sides.scope.common else None,
        winner=winner,
        provisional=feedback.state == "provisional",
        withheld=tuple(call.withheld),
        later=reading.later(call.con, after),
    )


def _nothing(call: Call, sentence: str) -> ABResults:
    """What can be said without numbers."""
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


def _slots(call: Call, scope: Scope) -> int:
    """The slots of the complete days."""
    return call.days * (DAY // scope.slot)


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


def _judged(call: Call, sides: Arms, metric: str) -> Answer:
    """The judgement of a metric of the log, over all looks."""
    if sides.unknown_denominator and metric in PER_IMAGE:
        return Answer(NOTHING, NO_DENOMINATOR)
    scope, found, last = sides.scope, [], TOO_FEW
    for end in range(1, scope.slots + 1):
        last = sides.evidence.found(metric, end)
        if last.difference is not None:
            units, days = sides.evidence.units(end), end * (scope.slot / DAY)
            found.append(Look(days, units, information(scope.unit, units, days), last.difference))
    return Answer(judge(call, found, scope.unit), last)


def _not_yet(call: Call) -> str | None:
    definition = call.test.definition
    if definition.mode == "fixed" and call.days < definition.duration_days:
        word = "stopped too early" if call.test.stopped_at else "not yet"
        return f"{word} (day {call.days} of {definition.duration_days})"
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


# --- guardrails ----------------------------------------------------------------------------------------------------


def _guardrails(sides: Arms, feedback: Feedback, least: int) -> list[Guardrail]:
    """Recall where reviews show it, else objects per image; and latency."""
    found: list[Guardrail | None] = []
    recall = reviews.recall_difference(feedback.last, least) if feedback.last else None
    if recall is not None and feedback.values:
        ahead = 1 if feedback.values[1] >= feedback.values[0] else -1
        found.append(guardrails.recall_not_worse(replace(recall, est=ahead * recall.est)))
    elif not sides.unknown_denominator:
        pair = sides.evidence.arms("detections_per_image", sides.scope.slots)
        objects = guardrails.objects_not_fewer(*pair) if pair else None
        doubtful = objects is not None and objects.status == "pass" and sides.guessed_floor
        found.append(replace(objects, status="unclear") if objects and doubtful else objects)
    found.append(arms.latency_guardrail(sides.evidence.latencies))
    return [check for check in found if check is not None]
