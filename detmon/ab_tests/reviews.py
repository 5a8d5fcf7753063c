"""What reviews say of the two arms: precision (`feedback_score`), and recall where whole images were looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING

from detmon import reviewed
from detmon.ab_tests.evidence import Found, paired
from detmon.ab_tests.reading import DAY, Scope
from detmon.reviewed import Reviews, Sample
from detmon.stats import review_arms
from detmon.stats.comparison import Difference, welch
from detmon.stats.review_arms import ReviewedArm
from detmon.store import Connection, statement
from detmon.times import EPOCH, Period

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]
    Floats = NDArray[np.float64]

RECALL_OBJECTS, RECALL_IMAGES = 30, 20
NO_REVIEWS = Found(None, "reviews", "no reviews")


@dataclass(frozen=True)
class ReviewedSide:
    """One arm's reviewed images up to a look: unit, weight (0: it does not count), correct and reviewed boxes.

    Of `selected` items with a served box `done` are reviewed; `rules` say how they were selected.
    """

    unit: Sequence[str]
    w: Floats
    y: Floats
    x: Floats
    basis: str | None
    selected: int
    done: int
    rules: str | None

    @property
    def images(self) -> int:
        """How many images count."""
        return int((self.w > 0).sum())

    def complete(self, share: float) -> bool:
        """Whether `share` of the selected items are reviewed, so that arriving reviews are not one more look each."""
        if self.basis != "sample":
            return self.basis is not None
        return self.selected > 0 and self.done >= share * self.selected

    @property
    def chosen_by_chance(self) -> bool:
        """Whether the images speak for the arm."""
        return self.basis in ("census", "sample", "assumed_random")


@dataclass(frozen=True)
class Reviewed:
    """Both arms' reviews at a look: precision, and recall where it can be said; `paired`: on the same images."""

    precision: tuple[ReviewedSide, ReviewedSide]
    recall: tuple[ReviewedSide, ReviewedSide] | None
    paired: bool


def read(
    con: Connection,
    scope: Scope,
    zones: tuple[tzinfo, tzinfo],
    settings: reviewed.Settings,
    days: int,
    stray: frozenset[str],
) -> Reviewed:
    """The reviews of both arms' images in the first `days`, without those of the `stray` units."""
    period = Period(scope.start, scope.start + days * DAY, "")
    sides = [
        _side(con, scope, model, period, zone, settings, stray)
        for model, zone in zip((scope.a, scope.b), zones, strict=True)
    ]
    (precision_a, recall_a), (precision_b, recall_b) = sides
    recall = (recall_a, recall_b) if recall_a is not None and recall_b is not None else None
    return Reviewed((precision_a, precision_b), recall, scope.common)


def there_are_any(con: Connection, scope: Scope) -> bool:
    """Whether any image of either arm has been reviewed."""
    return con.execute(statement("ab_reviewed"), scope.bound).fetchall() != []


def _side(
    con: Connection,
    scope: Scope,
    model: str,
    period: Period,
    zone: tzinfo,
    settings: reviewed.Settings,
    stray: frozenset[str],
) -> tuple[ReviewedSide, ReviewedSide | None]:
    found = reviewed.read(con, model, period, zone, settings)
    units = _units(con, found, scope.unit)
    counts = _counting(con, scope, found, units, stray)
    rules = _rules(con, found)
    precision = _weighted(found, reviewed.sample(found), reviewed.precision(found), units, counts, rules)
    whole = reviewed.sample(found, exhaustive=True)
    recall = _weighted(found, whole, reviewed.recall(found), units, counts, rules)
    every_one_exhaustive = not (precision.w[~found.images.exhaustive] > 0).any()
    enough = recall.images >= RECALL_IMAGES and float(recall.x[recall.w > 0].sum()) >= RECALL_OBJECTS
    usable = every_one_exhaustive and enough and whole.basis is not None
    return precision, recall if usable else None


def _counting(
    con: Connection, scope: Scope, found: Reviews, units: Sequence[str | None], stray: frozenset[str]
) -> Flags:
    """Which reviewed images are part of the comparison."""
    import numpy as np

    counts = np.array([unit is not None and unit not in stray for unit in units], bool)
    if scope.left_out:
        day = (found.images.seconds - round((scope.start - EPOCH).total_seconds())) // round(DAY.total_seconds())
        counts &= ~np.isin(day, scope.left_out)
    if scope.common:
        names = [(image, found.images.sources[place]) for image, place in _named(found)]
        text = statement("ab_common_images").format(days=scope.days)
        common = set(con.execute(text, {**scope.bound_days, "images": [image for image, _ in names]}).fetchall())
        counts &= np.array([name in common for name in names], bool)
    return counts


def _named(found: Reviews) -> Iterator[tuple[str, int]]:
    return zip(found.images.image_id, found.images.source.tolist(), strict=True)


def _weighted(
    found: Reviews, sample: Sample, pair: reviewed.Pair, units: Sequence[str | None], counts: Flags, rules: str | None
) -> ReviewedSide:
    import numpy as np

    w = sample.w if sample.basis is not None else found.images.complete.astype(np.float64)
    return ReviewedSide(
        unit=[unit or "" for unit in units],
        w=(w * counts).astype(np.float64),
        y=pair[0].astype(np.float64),
        x=pair[1].astype(np.float64),
        basis=sample.basis,
        selected=sum(cell.served for cell in found.cells),
        done=sum(cell.judged for cell in found.cells),
        rules=rules,
    )


def _rules(con: Connection, found: Reviews) -> str | None:
    """By which rules the images were selected, but for the name of the other model."""
    if found.engine is None:
        return None
    ((config,),) = con.execute(statement("engine_config"), {"id": found.engine.engine_id}).fetchall()
    said = json.loads(config)
    said.get("disagreement", {}).pop("other_model", None)
    return json.dumps(said, sort_keys=True)


def _units(con: Connection, found: Reviews, unit: str) -> Sequence[str | None]:
    """The unit of each reviewed image; the connection still has the images that were read."""
    images = found.images
    if unit == "image_id":
        return list(images.image_id)
    if unit == "source":
        return [images.sources[place] or None for place in images.source.tolist()]
    rows = con.execute("SELECT tags[$tag] FROM review_images ORDER BY image", {"tag": unit.removeprefix("tag:")})
    return [value for (value,) in rows.fetchall()]


# --- comparing -----------------------------------------------------------------------------------------------------


def arm(side: ReviewedSide) -> ReviewedArm | None:
    """One side as an estimate clustered by unit."""
    import numpy as np

    counted = side.w > 0
    _, place = np.unique(np.array(side.unit, object)[counted].astype(str), return_inverse=True)
    return review_arms.reviewed_arm(side.y[counted], side.x[counted], side.w[counted], place.astype(np.float64))


def difference(found: Reviewed, *, units_are_images: bool) -> Found:
    """Precision of B minus that of A; paired where both saw the same images."""
    a, b = (arm(side) for side in found.precision)
    if a is None or b is None:
        return NO_REVIEWS
    if found.paired:
        return _paired(found.precision)
    return Found(review_arms.precision_difference(a, b, units_are_images=units_are_images), "reviews")


def recall_difference(found: Reviewed, min_units: int) -> Difference | None:
    """Recall of B minus that of A; None where it cannot be said, or with fewer than `min_units` units in an arm."""
    if found.recall is None:
        return None
    a, b = (arm(side) for side in found.recall)
    if a is None or b is None or min(a.units, b.units) < min_units:
        return None
    return _paired(found.recall).difference if found.paired else welch(a.arm, b.arm)


def _paired(sides: tuple[ReviewedSide, ReviewedSide]) -> Found:
    """B - A over units; a unit of which only one model's answers are reviewed says something of that one."""
    names = sorted({unit for side in sides for unit, w in zip(side.unit, side.w.tolist(), strict=True) if w > 0})
    number = {name: place for place, name in enumerate(names)}
    a, b = (_by_unit(side, number) for side in sides)
    return paired(a, b)


def _by_unit(side: ReviewedSide, number: Mapping[str, int]) -> tuple[Floats, Floats]:
    """Weighted sums of each unit."""
    import numpy as np

    counted = side.w > 0
    units = [unit for unit, kept in zip(side.unit, counted.tolist(), strict=True) if kept]
    place = np.array([number[unit] for unit in units], np.int64)
    w = side.w[counted]
    y, x = (np.bincount(place, w * part[counted], len(number)).astype(np.float64) for part in (side.y, side.x))
    return y, x
