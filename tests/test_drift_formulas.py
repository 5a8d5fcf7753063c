"""The verdict against the formulas of docs/statistics.md, written out plainly: loops, lists and scipy.stats."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import mean, median

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon
from test_drift_statistics import DAY, START, counts

from detmon.stats.blocks import NONE, Block, Choice, Dependence
from detmon.stats.drift import DAY_PARTS, Verdict, judge
from detmon.stats.probes import BlockCounts

Q, MIN_EFFECT = 0.05, 0.02


@dataclass(frozen=True)
class Plain:
    """A p-value, the standard error and degrees of freedom behind it, and the distance that it is about."""

    p: float
    se: float
    df: float
    distance: float


def column(table: BlockCounts, name: str) -> tuple[list[float], list[float] | None]:
    """Numerator and denominator by block."""
    images, detections = table.objects.sum(axis=1), table.classes.sum(axis=1)
    scored = table.confidence.sum(axis=1)
    if name.startswith("class:"):
        return table.classes[:, table.labels.index(name[6:])].tolist(), detections.tolist()
    found = {
        "avg_confidence": (table.micro / 1e6, scored),
        "no_detection_rate": (table.objects[:, 0], images),
        "low_confidence_rate": (table.confidence[:, :500].sum(axis=1), scored),
        "above_median_confidence": (table.confidence[:, above(table) :].sum(axis=1), scored),
    }[name]
    return found[0].tolist(), found[1].tolist()


def above(table: BlockCounts) -> int:
    """The first bin above the one in which the reference reaches half of its detections."""
    reference = table.confidence[~table.current].sum(axis=0)
    total = 0
    for place, count in enumerate(reference.tolist()):
        total += count
        if 2 * total >= reference.sum():
            return place + 1
    raise AssertionError


def values(table: BlockCounts, name: str) -> list[float] | None:
    """One value a block, None if there are too few events."""
    if name == "detections_per_image":
        images, detections = table.objects.sum(axis=1).tolist(), table.classes.sum(axis=1).tolist()
        return [math.log((d + 0.5) / i) for d, i in zip(detections, images, strict=True)]
    c, d = column(table, name)
    if name != "avg_confidence":
        events = min(sum(c), sum(d) - sum(c))
        if events < 5:
            return None
        if 0 not in d and median(d) >= 20 and events >= 5 * len(c):
            return [math.asin(math.sqrt((a + 0.375) / (b + 0.75))) for a, b in zip(c, d, strict=True)]
    pooled = sum(c) / sum(d)
    own = {now: mean(b for b, is_now in zip(d, table.current, strict=True) if is_now == now) for now in (False, True)}
    return [(a - pooled * b) / own[bool(now)] for a, b, now in zip(c, d, table.current, strict=True)]


def regression(table: BlockCounts, extra: list[list[float]], y: list[float]) -> tuple[float, list[float], float, int]:
    """The difference, the residuals, the unit variance and the degrees of freedom."""
    rows = len(y)
    x = np.array([[1.0] * rows, table.current.astype(float).tolist(), *extra]).T
    inverse = np.linalg.inv(x.T @ x)
    beta = inverse @ x.T @ np.array(y)
    return float(beta[1]), (np.array(y) - x @ beta).tolist(), float(inverse[1, 1]), rows - x.shape[1]


def autocorrelation(table: BlockCounts, residuals: list[float], kappa: float) -> float:
    pairs = [
        residuals[i] * residuals[i - 1] for i in range(1, len(residuals)) if table.current[i] == table.current[i - 1]
    ]
    r = sum(pairs) / sum(e * e for e in residuals)
    return r + kappa * (1 + 3 * r) / len(residuals)


def factor(k: int, rho: float) -> float:
    return 1 + 2 * sum((1 - j / k) * rho**j for j in range(1, k))


def judged(table: BlockCounts, extra: list[list[float]], y: list[float], rho: float, distance: float) -> Plain:
    b, residuals, unit, df = regression(table, extra, y)
    rows, m = len(y), int(table.current.sum())
    n = rows - m
    larger, df_eff = 1.0, float(df)
    if rho > 0:
        larger = (factor(m, rho) / m + factor(n, rho) / n) / (1 / m + 1 / n)
        larger = max(1, larger * (rows - 2) / max(rows - factor(n, rho) - factor(m, rho), 1))
        df_eff = max(df / factor(rows, rho), 4)
    se = math.sqrt(sum(e * e for e in residuals) / df * unit * larger)
    return Plain(2 * stats.t.sf(abs(b) / se, df_eff), se, df_eff, distance)


def distances(table: BlockCounts) -> dict[str, float]:
    def js(bins: np.ndarray) -> float:
        return float(jensenshannon(bins[~table.current].sum(axis=0), bins[table.current].sum(axis=0), base=2))

    return {
        "class": js(table.classes),
        "confidence": js(table.confidence.reshape(-1, 20, 50).sum(axis=2)),
        "count": js(table.objects),
    }


def probes(table: BlockCounts, extra: list[list[float]], like: Dependence, *, whole: bool) -> dict[str, Plain]:
    """The tests of a table, without the chi-square of the class mix."""
    found, far = {}, distances(table)
    names = ["avg_confidence", "detections_per_image", "no_detection_rate"]
    names += ["low_confidence_rate", "above_median_confidence"] if whole else []
    for name in names:
        if (y := values(table, name)) is not None:
            rho = autocorrelation(table, regression(table, extra, y)[1], like.kappa)
            about = "confidence" if "confidence" in name else "count"
            found[name] = judged(table, extra, y, min(max(rho, like.floor), like.cap), far[about])
    classes = [f"class:{label}" for k, label in enumerate(table.labels) if table.classes[:, k].sum() >= 20]
    ys = {name: y for name in classes if (y := values(table, name)) is not None}
    weights = [sum(column(table, name)[0]) for name in ys]
    rhos = [autocorrelation(table, regression(table, extra, y)[1], like.kappa) for y in ys.values()]
    rho = sum(w * r for w, r in zip(weights, rhos, strict=True)) / sum(weights)
    rho = min(max(rho, like.floor), like.cap)
    if whole:
        found |= {name: judged(table, extra, y, rho, far["class"]) for name, y in ys.items()}
    return found | {"class_mix": class_mix(table, extra, rho, far["class"])}


def class_mix(table: BlockCounts, extra: list[list[float]], rho: float, distance: float) -> Plain:
    """The second-order corrected chi-square."""
    totals = table.classes.sum(axis=0)
    rest = table.classes[:, totals < 20].sum(axis=1)
    columns = [*table.classes[:, totals >= 20].T.tolist(), *([rest.tolist()] if rest.sum() else [])]
    rows, k = len(table.current), len(columns)
    den = [sum(c[i] for c in columns) for i in range(rows)]
    shares = [sum(c) / sum(den) for c in columns]
    own = {now: mean(d for d, is_now in zip(den, table.current, strict=True) if is_now == now) for now in (False, True)}
    fits = [
        regression(table, extra, [(c[i] - p * den[i]) / own[bool(table.current[i])] for i in range(rows)])
        for c, p in zip(columns, shares, strict=True)
    ]
    unit, df = fits[0][2], fits[0][3]
    m = int(table.current.sum())
    n, larger = rows - m, 1.0
    if rho > 0:
        larger = (factor(m, rho) / m + factor(n, rho) / n) / (1 / m + 1 / n)
        larger = max(1, larger * (rows - 2) / max(rows - factor(n, rho) - factor(m, rho), 1))
    scale = sum(1 / sum(d for d, now in zip(den, table.current, strict=True) if now == side) for side in (False, True))
    matrix = [
        [
            sum(a * b for a, b in zip(fits[i][1], fits[j][1], strict=True)) / df * unit * larger
            / math.sqrt(shares[i] * shares[j]) / scale
            for j in range(k)
        ]
        for i in range(k)
    ]  # fmt: skip
    trace = sum(matrix[i][i] for i in range(k))
    chi2 = sum(fit[0] ** 2 / p for fit, p in zip(fits, shares, strict=True)) / scale
    squares = (sum(v * v for row in matrix for v in row) - trace**2 / df) * df**2 / ((df - 1) * (df + 2))
    spread = max(squares, trace**2 / (k - 1)) / trace**2 * (k - 1)
    df1 = (k - 1) / spread
    return Plain(stats.f.sf(chi2 / (trace / (k - 1) * spread) / df1, df1, df), 0, 0, distance)


def hits(families: list[dict[str, Plain]]) -> set[str]:
    """The probes that moved: adjusted within their family, and between the two."""
    adjusted = [
        dict(zip(family, stats.false_discovery_control([found.p for found in family.values()]), strict=True))
        for family in families
    ]
    smallest = [min(family.values()) for family in adjusted]
    if len(smallest) == 2:
        low, high = sorted(smallest)
        holm = {low: min(1, 2 * low), high: max(min(1, 2 * low), high)}
        smallest = [holm[p] for p in smallest]
    return {
        name
        for p, family, plain in zip(smallest, adjusted, families, strict=True)
        for name, q in family.items()
        if p <= Q and q <= Q and plain[name].distance >= MIN_EFFECT
    }


def world(seed: int) -> tuple[Choice, BlockCounts, dict[str, BlockCounts]]:
    """A weak change in one of several ways, over 12 v 5 days that are alike, with weekends and a thin night."""
    rng = np.random.default_rng([3, seed])
    rates = (0.3, 0.9, 0.02, 0.3)
    moved = tuple(rate * (1 + rng.choice([0, 0.3]) * rng.random()) for rate in rates)
    low = 0.7 - rng.choice([0, 0.03]) * rng.random()
    labels = ("bus", "car", "rare", "truck")
    parts = {}
    for place, name in enumerate(DAY_PARTS):
        images = 40 if place == 0 else 150
        parts[name] = counts(
            12, 5, seed=10 * seed + place, images=images, rates=rates, current_rates=moved, confidence=(0.7, low),
            labels=labels,
        )  # fmt: skip
    one = parts["06-12"]
    whole = replace(
        one,
        objects=sum(part.objects for part in parts.values()),
        micro=sum(part.micro for part in parts.values()),
        confidence=sum(part.confidence for part in parts.values()),
        classes=sum(part.classes for part in parts.values()),
    )
    days = tuple(Block(START + day * DAY, START + (day + 1) * DAY, 1) for day in range(17))
    weekend = tuple(float(day % 7 >= 5) for day in range(17))
    like = Dependence(kappa=1, floor=0, cap=0.8) if seed % 2 else Dependence(kappa=2, floor=0.2, cap=0.8)
    return Choice("1d", days[:12], days[12:], design=(weekend,), dependence=like), whole, parts


@pytest.mark.parametrize("seed", range(12))
def test_the_verdict_follows_the_formulas(seed: int) -> None:
    choice, whole, parts = world(seed)
    extra = [list(column) for column in choice.design]
    found = judge(choice, whole, parts)
    families = [
        probes(whole, extra, choice.dependence, whole=True),
        {
            f"{part} {name}": plain
            for part, table in parts.items()
            for name, plain in probes(table, extra, choice.dependence, whole=False).items()
        },
    ]
    assert set(found.hits) == hits(families)
    same_p(found, families[0])
    for label, change in found.detectable_class_change.items():
        assert change == pytest.approx(detectable(families, whole, f"class:{label}", found), rel=1e-9)
    for name in ("avg_confidence", "detections_per_image", "low_confidence_rate", "above_median_confidence"):
        assert found.detectable_change[name] == pytest.approx(detectable(families, whole, name, found), rel=1e-9)
    for name, value in zip(("class_drift", "confidence_drift", "count_drift"), distances(whole).values(), strict=True):
        assert getattr(found, name) == pytest.approx(value, rel=1e-9)
    assert usual(whole) == pytest.approx(
        (found.usual_range["class_drift"].median, found.usual_range["class_drift"].max)
    )  # type: ignore[union-attr]


def same_p(found: Verdict, family: dict[str, Plain]) -> None:
    adjusted = dict(zip(family, stats.false_discovery_control([plain.p for plain in family.values()]), strict=True))
    for change in found.classes:
        name = f"class:{change.label}"
        if name in family:
            assert change.p_value == pytest.approx(family[name].p, rel=1e-9)
            assert change.adjusted_p == pytest.approx(adjusted[name], rel=1e-9)
        else:
            assert change.p_value is None
    for name, effect in found.effects.items():
        if name in family:
            assert effect.adjusted_p == pytest.approx(adjusted[name], rel=1e-9)


def detectable(families: list[dict[str, Plain]], table: BlockCounts, name: str, found: Verdict) -> float:
    """The change found in four of five checks, on the probe's own scale."""
    plain = families[0][name]
    level = Q / (2 * len(families) * len(families[0]))
    delta = (stats.t.isf(level, plain.df) + stats.t.isf(0.2, plain.df)) * plain.se
    if name == "detections_per_image":
        return math.exp(delta) - 1
    if name == "avg_confidence":
        return delta
    c, d = column(table, name)
    share = sum(a for a, now in zip(c, table.current, strict=True) if not now)
    share /= sum(b for b, now in zip(d, table.current, strict=True) if not now)
    if min(sum(c), sum(d) - sum(c)) >= 5 * len(c):
        delta = math.sin(min(math.asin(math.sqrt(share)) + delta, math.pi / 2)) ** 2 - share
    return delta / share if name.startswith("class:") else delta


def usual(table: BlockCounts) -> tuple[float, float]:
    """Median and maximum of the class distance between stretches of the reference and its other blocks."""
    reference = table.classes[~table.current]
    n, width = len(reference), min(int(table.current.sum()), len(reference) // 2)
    far = []
    for start in range(n - width + 1):
        inside = [start <= row < start + width for row in range(n)]
        others = [not here for here in inside]
        far.append(jensenshannon(reference[inside].sum(axis=0), reference[others].sum(axis=0), base=2))
    return median(far), max(far)


def test_independent_sources_are_not_taken_for_alike() -> None:
    choice, whole, _ = world(2)
    sources = replace(choice, size="source", dependence=NONE, design=())
    family = probes(whole, [], NONE, whole=True)
    assert set(judge(sources, whole).hits) == hits([family])
    same_p(judge(sources, whole), family)
