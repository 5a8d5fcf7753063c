"""The reviews of a test, judged look by look, as far as they may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from detmon.ab_tests import reviews
from detmon.ab_tests.arms import Arms
from detmon.ab_tests.call import Answer, Call, information, judge
from detmon.ab_tests.definition import METRICS
from detmon.ab_tests.evidence import Found
from detmon.ab_tests.records import ABArm
from detmon.ab_tests.reviews import Reviewed, ReviewedSide
from detmon.ab_tests.verdict import State
from detmon.stats.looks import NOTHING, Judgement, Look


class Feedback:
    """Precision at each look, recall at the last one, and how far the reviews are."""

    def __init__(self, call: Call, sides: Arms) -> None:
        self.call, self.unit = call, sides.scope.unit
        self.listed = any(METRICS[metric] == "feedback_score" for metric in call.test.definition.metrics)
        self.looks: list[tuple[int, Reviewed, Found]] = []
        self.state: State = "none" if self.listed else "not listed"
        self.judged = NOTHING
        if not reviews.there_are_any(call.con, sides.scope):
            return
        only_the_last = call.test.definition.mode == "fixed"
        for day in range(call.days if only_the_last else 1, call.days + 1):
            found = reviews.read(call.con, sides.scope, call.zones, call.quality, day, sides.stray)
            difference = reviews.difference(found, units_are_images=self.unit == "image_id")
            self.looks.append((day, found, difference))
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

    def _judge(self) -> None:
        last = self.looks[-1][1].precision
        whole = [look for look in self.looks if all(self._complete(side) for side in look[1].precision)]
        if not all(side.chosen_by_chance for side in last):
            self.state = "self-selected"
            told = "the reviewed images were not chosen by chance: they make no winner"
            self.call.warn("feedback_self_selected", told)
        elif self._settled(whole):
            self.state = "decided"
        else:
            self.state = "provisional"
        self.judged = self._judgement(whole if self.state == "decided" else self.looks)
        if len({side.rules for side in last if side.basis == "sample"}) > 1:
            told = "the arms' reviewed images were selected by different rules"
            self.call.warn("feedback_not_comparable", told, withholds=True)

    def _settled(self, whole: Sequence[tuple[int, Reviewed, Found]]) -> bool:
        """Whether the reviews that are still to come can change nothing."""
        if whole and whole[-1] is self.looks[-1]:
            return True
        p = self._judgement(whole).p
        return p is not None and p <= self.call.settings.alpha

    def _complete(self, side: ReviewedSide) -> bool:
        return side.complete(self.call.settings.review_complete)

    def _judgement(self, some: Sequence[tuple[int, Reviewed, Found]]) -> Judgement:
        found = []
        for day, read, one in some:
            if one.difference is None:
                continue
            estimates = [reviews.arm(side) for side in read.precision]
            units = tuple(estimate.units if estimate else 0 for estimate in estimates)
            pair = (units[0], units[1])
            found.append(Look(day, pair, information(self.unit, pair, day), one.difference))
        return judge(self.call, found, self.unit)

    @staticmethod
    def _pair(sides: tuple[ReviewedSide, ReviewedSide]) -> tuple[float, float] | None:
        a, b = (reviews.arm(side) for side in sides)
        return (a.value, b.value) if a and b else None
