"""Whether anybody has won, in a sentence: only better precision wins, and only where nothing else got worse.

Confidence, latency and counts never give a winner: a model that drops hard objects raises its mean confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from detmon.stats.guardrails import Guardrail
from detmon.stats.looks import Judgement

State = Literal["not listed", "none", "self-selected", "provisional", "decided"]


@dataclass(frozen=True)
class Case:
    """All that a verdict rests on. `p` is the adjusted p-value of precision, `withheld` why no verdict may be given."""

    models: tuple[str, str]
    withheld: Sequence[str]
    not_yet: str | None
    feedback: State
    precision: tuple[float, float] | None
    p: float | None
    judged: Judgement
    guardrails: Sequence[Guardrail]
    recalls: tuple[float, float] | None
    reviewed: tuple[int, int]
    alpha: float
    confidence: float | None
    """B's mean confidence minus A's, where that difference is significant."""


def decide(case: Case) -> tuple[str | None, str]:
    """The winner (a, b or None) and the sentence that says so, or what is missing."""
    if case.not_yet:
        return None, case.not_yet
    if case.withheld:
        return None, "no verdict: " + "; ".join(case.withheld)
    if case.feedback != "decided" or case.precision is None or case.p is None:
        return None, "no winner: " + _missing(case)
    leader = "b" if case.precision[1] > case.precision[0] else "a"
    if case.p > case.alpha:
        return None, f"no winner: precision {_against(case.precision)} does not differ (p = {_p(case.p)}){_aside(case)}"
    decisive = case.judged.decisive
    if decisive is None or (decisive.z > 0) != (leader == "b"):
        other = "A" if leader == "b" else "B"
        return None, f"no winner: {other} was ahead in precision, but is no longer ({_against(case.precision)})"
    broken = _broken(case, leader)
    if broken:
        return (
            None,
            f"no winner: {leader.upper()} has better precision ({_against(case.precision, leader)}) but {broken}",
        )
    name = case.models[leader == "b"]
    return (
        leader,
        f"{leader.upper()} ({name}) wins: precision {_against(case.precision, leader)}{_sure(case)}{_recall(case)}",
    )


def _missing(case: Case) -> str:
    done, selected = case.reviewed
    reasons = {
        "not listed": "feedback_score is not among the metrics, and nothing else is quality",
        "none": "nobody has reviewed the arms' images",
        "self-selected": "the reviewed images were not chosen by chance",
        "provisional": f"{done:,} of {selected:,} selected items reviewed",
        "decided": "too few reviewed images",
    }
    return reasons[case.feedback] + _aside(case)


def _aside(case: Case) -> str:
    if case.confidence is None:
        return ""
    return f"; {'B' if case.confidence > 0 else 'A'} has higher confidence: that is not quality"


def _broken(case: Case, leader: str) -> str | None:
    """What the leader has broken, or what is not known of it."""
    recall = next((one for one in case.guardrails if one.metric == "recall"), None)
    if recall is not None and recall.status == "fail" and case.recalls is not None:
        return f"finds fewer objects ({_against(case.recalls, leader)})"
    if leader == "a":
        return None
    others = [one for one in case.guardrails if one.metric != "recall"]
    if recall is None and not any(one.metric == "detections_per_image" for one in others):
        return "nothing shows whether it drops objects: the log lacks images without detections, and no recall is known"
    for one in others:
        if one.status != "pass":
            return _DOUBT[one.metric, one.status].format(observed=one.observed, low=one.low, high=one.high)
    return None


_DOUBT = {
    ("detections_per_image", "fail"): "finds fewer objects per image ({observed:.2f} times A's, at most {high:.2f})",
    ("detections_per_image", "unclear"): (
        "it is unclear whether it finds fewer objects per image ({observed:.2f} times A's, {low:.2f} to {high:.2f})"
    ),
    ("p95_latency_ms", "fail"): "is slower: {observed:.1%} of its images take 1.1 times A's p95 or longer",
    ("p95_latency_ms", "unclear"): (
        "it is unclear whether it is slower ({observed:.1%} of its images take 1.1 times A's p95 or longer)"
    ),
}


def _sure(case: Case) -> str:
    judged = case.judged
    if judged.low is None or judged.high is None or case.p is None:
        return ""
    return f", a difference of {judged.low:+.3f} to {judged.high:+.3f}, p = {_p(case.p)}"


def _recall(case: Case) -> str:
    recall = next((one for one in case.guardrails if one.metric == "recall"), None)
    if recall is None or recall.status == "fail":
        return ""
    return f"; its recall differs by {recall.low:+.3f} to {recall.high:+.3f}"


def _against(pair: tuple[float, float], leader: str = "a") -> str:
    first, second = pair if leader == "a" else pair[::-1]
    return f"{first:.3f} against {second:.3f}"


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1g}"
