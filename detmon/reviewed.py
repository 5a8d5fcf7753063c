"""Reviewed images of a model: what was said of their boxes, and how many images each of them stands for.

`read` takes a period's verdicts out of the store, `sample` says with which weights they speak for the whole period, or
why they cannot. What is estimated from them (`precision`, `recall` and the rest) are pairs of numbers per image. The
rules: docs/statistics.md, "Quality from reviews".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, TypeAlias

from detmon.config import Config
from detmon.errors import ConfigError, UnknownName
from detmon.records import Record
from detmon.stats import estimation
from detmon.stats.estimation import Cell, Ratio
from detmon.store import Connection, statement
from detmon.times import EPOCH, Period

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Codes = NDArray[np.integer[Any]]
    Flags = NDArray[np.bool_]

KINDS = ("correct", "wrong_label", "wrong_box", "false_positive", "missed_object")
CORRECT, WRONG_LABEL, WRONG_BOX, FALSE_POSITIVE, MISSED = range(5)
CENSUS = 0.99
"""From this share of the images with a served box on, everything is reviewed."""
COVERAGE = 0.99
"""An engine that scanned less of the period has not seen all of it."""
RESPONSE = 0.8
"""Below this share of the selected images reviewed, a warning: the others may differ."""
SLOT = 900
"""Seconds; all zones' days and hours begin at a multiple of it."""


@dataclass(frozen=True)
class Settings:
    """`[quality]`: what counts as a right box, or as one that a reviewer has not moved; the least to estimate from."""

    iou: float = 0.5
    background_iou: float = 0.1
    review_iou: float = 0.9
    min_images: int = 20
    min_detections: int = 30
    assume_random: bool = False


DEFAULTS = Settings()


def settings(config: Config) -> Settings:
    """The `[quality]` table; raises ConfigError for a value that cannot be."""
    table = config.table("quality")
    for key in ("iou", "background_iou", "review_iou"):
        value = table.get(key, getattr(DEFAULTS, key))
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
            raise ConfigError(f"[quality] {key} = {value!r}", "a number between 0 and 1")
    for key in ("min_images", "min_detections"):
        value = table.get(key, getattr(DEFAULTS, key))
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"[quality] {key} = {value!r}", "a whole number from 1 on")
    if not isinstance(table.get("assume_random", False), bool):
        raise ConfigError(f"[quality] assume_random = {table['assume_random']!r}", "true or false")
    found = Settings(**table)
    if found.background_iou >= found.iou:
        raise ConfigError(f"[quality] background_iou = {found.background_iou} is not below iou = {found.iou}")
    return found


@dataclass(frozen=True)
class Reason(Record):
    """Why a number is absent, or what to bear in mind with it; `refuses` names the numbers that are absent."""

    code: str
    message: str
    refuses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Engine:
    """The engine whose selection the estimates rest on; `others` select from the same model."""

    engine_id: str
    dataset_id: str
    dataset: str
    selected: int
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class SelectedCell:
    """Images of one source that the engine selected with one probability.

    Of those with a served box (`served`) `judged` are reviewed; of all (`selected`) `looked_at` as a whole.
    """

    pi: float
    source: str
    served: int
    judged: int
    selected: int
    looked_at: int


@dataclass(frozen=True)
class Totals:
    """All images of the period: how many, how many with a served box, scanned, with a chance to be selected."""

    images: int
    served: int
    scanned: int
    reached: int
    first: datetime | None
    last: datetime | None
    unknown_denominator: bool


@dataclass(frozen=True)
class Images:
    """The images that have a verdict, in the order of time; `pi` is NaN where the engine did not select one.

    `day` and `hour` number local days and hours, `number` is 1 (or how many images a row of unmarked ones stands for).
    """

    source: Codes
    day: Codes
    hour: Codes
    seconds: Codes
    image_id: Sequence[str]
    pi: Floats
    served: Codes
    complete: Flags
    exhaustive: Flags
    number: Floats
    sources: Sequence[str]

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class Verdicts:
    """The verdicts on their boxes (`kind` < MISSED) and their missed objects; `image` is the place in Images.

    `label` and `true_label` are places in `labels`, -1 for none; `confidence` is NaN for none.
    """

    image: Codes
    kind: Codes
    label: Codes
    true_label: Codes
    confidence: Floats
    reason: Sequence[str | None]
    tide: Sequence[str | None]
    labels: Sequence[str]

    @property
    def judged(self) -> Flags:
        """The verdicts that are on boxes."""
        return self.kind < MISSED


@dataclass(frozen=True)
class Reviews:
    """A period's reviews of one model, and what they are to speak for."""

    model_id: str
    period: Period
    settings: Settings
    floor: float | None
    images: Images
    verdicts: Verdicts
    totals: Totals
    engine: Engine | None
    cells: Sequence[SelectedCell]
    unmarked: Sequence[tuple[str, int, int]] = ()

    def per_image(self, chosen: Flags) -> Floats:
        """How many of the `chosen` verdicts each image has."""
        import numpy as np

        return np.bincount(self.verdicts.image[chosen], minlength=len(self.images)).astype(np.float64)


# --- reading -------------------------------------------------------------------------------------------------------


def read(
    con: Connection,
    model_id: str,
    period: Period,
    zone: tzinfo = UTC,
    settings: Settings = DEFAULTS,
    dataset: str | None = None,
) -> Reviews:
    """The reviews of a model's images of `period`; `dataset` (id or name) chooses among several engines.

    Raises UnknownName for a dataset into which no engine of the model selects.
    """
    import numpy as np

    span = {"model": model_id, "start": period.start, "end": period.end}
    engine = _engine(con, span, dataset)
    chosen = {**span, "dataset": engine.dataset_id if engine else None}
    con.execute(f"CREATE OR REPLACE TEMP TABLE review_images AS {statement('review_images')}", chosen)
    found = con.execute("SELECT * EXCLUDE (detections, tags) FROM review_images ORDER BY image").fetchnumpy()
    floor = next((float(one) for one in found["floor"][:1] if one is not np.ma.masked), None)
    where = {**span, "floor": floor, "engine": engine.engine_id if engine else None}
    judged = {**span, "iou": settings.iou, "kinds": KINDS}
    [totals] = con.execute(statement("review_totals"), where).fetchall()
    return Reviews(
        model_id,
        period,
        settings,
        floor,
        _images(found, zone),
        _verdicts(con.execute(statement("review_verdicts"), judged).fetchnumpy()),
        Totals(*totals),
        engine,
        [SelectedCell(*row) for row in con.execute(statement("review_cells"), {**chosen, "floor": floor}).fetchall()],
    )


def _engine(con: Connection, span: Mapping[str, Any], dataset: str | None) -> Engine | None:
    found = [Engine(*row) for row in con.execute(statement("review_engines"), span).fetchall()]
    if dataset is None:
        one = found[0] if found else None
    else:
        one = next((engine for engine in found if dataset in (engine.dataset_id, engine.dataset)), None)
        if one is None:
            raise UnknownName("dataset of this model's engines", dataset, [engine.dataset for engine in found])
    others = tuple(engine.dataset for engine in found if one and engine is not one and engine.selected)
    return replace(one, others=others) if one else None


def _images(found: Mapping[str, Any], zone: tzinfo) -> Images:
    import numpy as np

    names, source = np.unique(found["source"].astype(object), return_inverse=True)
    seconds = found["ts"].astype("datetime64[s]").astype(np.int64)
    day, hour = _local(seconds // SLOT, zone)
    return Images(
        source,
        day,
        hour,
        seconds,
        found["image_id"],
        np.ma.filled(found["pi"], np.nan),
        found["served"].astype(np.int64),
        found["complete"].astype(bool),
        found["exhaustive"].astype(bool),
        np.ones(len(source)),
        names.tolist(),
    )


def _local(slots: Codes, zone: tzinfo) -> tuple[Codes, Codes]:
    """The local day and hour of each quarter of an hour since the epoch."""
    import numpy as np

    different, place = np.unique(slots, return_inverse=True)
    moments = [
        (EPOCH.replace(tzinfo=UTC) + timedelta(seconds=SLOT * slot)).astimezone(zone) for slot in different.tolist()
    ]
    days = np.array([moment.toordinal() for moment in moments], np.int64)
    hours = np.array([moment.toordinal() * 24 + moment.hour for moment in moments], np.int64)
    return days[place], hours[place]


def _verdicts(found: Mapping[str, Any]) -> Verdicts:
    import numpy as np

    label, true_label, reason, tide = (found[name].tolist() for name in ("label", "true_label", "reason", "tide"))
    labels = sorted({*label, *true_label} - {None})
    code = {None: -1, **{name: place for place, name in enumerate(labels)}}
    return Verdicts(
        found["image"].astype(np.int64),
        found["kind"].astype(np.int64),
        np.array([code[name] for name in label], np.int64),
        np.array([code[name] for name in true_label], np.int64),
        np.ma.filled(found["confidence"], np.nan).astype(np.float64),
        reason,
        tide,
        labels,
    )


def with_unmarked(con: Connection, reviews: Reviews, zone: tzinfo = UTC) -> Reviews:
    """The reviews of a census with its other images: without a served box, and marked by nobody.

    Such images are rows without verdicts, one a source and quarter of an hour. Needs the connection that `read` used.
    """
    import numpy as np

    values = {
        "model": reviews.model_id,
        "start": reviews.period.start,
        "end": reviews.period.end,
        "floor": reviews.floor,
    }
    rows = con.execute(statement("review_unmarked"), values).fetchall()
    if not rows:
        return reviews
    images, more = reviews.images, len(rows)
    names = [*images.sources, *sorted({source for source, _, _ in rows} - set(images.sources))]
    slots = np.array([slot for _, slot, _ in rows], np.int64)
    day, hour = _local(slots, zone)
    added = {
        "source": np.array([names.index(source) for source, _, _ in rows], np.int64),
        "day": day,
        "hour": hour,
        "seconds": slots * SLOT,
        "pi": np.full(more, np.nan),
        "served": np.zeros(more, np.int64),
        "complete": np.ones(more, bool),
        "exhaustive": np.ones(more, bool),
        "number": np.array([number for _, _, number in rows], np.float64),
    }
    joined: dict[str, Any] = {name: np.concatenate([getattr(images, name), part]) for name, part in added.items()}
    identified = [*images.image_id, *[""] * more]
    return replace(reviews, images=Images(**joined, image_id=identified, sources=names))


# --- whom they speak for -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """Which images count, with which weight (0: not), shape (images,); and what to bear in mind with them.

    `basis`: census, sample (by an engine), flagged (by an engine without a random sample: they speak for the flagged
    images only), assumed_random, or None with the reason why they speak for nothing but themselves.
    """

    basis: str | None
    w: Floats
    reasons: tuple[Reason, ...] = ()

    @property
    def counted(self) -> Flags:
        """The images that count."""
        return self.w > 0

    @property
    def speaks(self) -> bool:
        """Whether they speak for the whole period."""
        return self.basis not in (None, "flagged")

    def of(self, chosen: Flags) -> Sample:
        """The part of the sample that is `chosen`."""
        return replace(self, w=self.w * chosen)


def sample(reviews: Reviews, *, exhaustive: bool = False) -> Sample:
    """The weights of the reviewed images, or of the exhaustively reviewed ones (for recall and missed objects)."""
    import numpy as np

    images, totals = reviews.images, reviews.totals
    counted = images.exhaustive if exhaustive else images.complete
    seen = counted | (images.complete & (images.served == 0))
    if totals.served and int((counted & (images.served > 0)).sum()) >= CENSUS * totals.served:
        return Sample("census", seen.astype(np.float64))
    none = np.zeros(len(images))
    if not counted.any():
        return Sample(None, none, (_nothing_counts(reviews, exhaustive),))
    if reviews.settings.assume_random:
        said = "as told, the reviewed images are taken for a simple random sample of the period"
        return Sample("assumed_random", counted.astype(np.float64), (Reason("assumed_random", said),))
    if reviews.engine is None or not reviews.engine.selected:
        told = (
            "the reviewed images were not selected by chance, so they speak for themselves only; let a data engine "
            "select them, or say --assume-random if they are a random sample"
        )
        return Sample(None, none, (Reason("not_sampled", told),))
    return _selected(reviews, reviews.engine, counted, exhaustive=exhaustive)


def _nothing_counts(reviews: Reviews, exhaustive: bool) -> Reason:
    images = reviews.images
    if exhaustive and images.complete.any():
        return Reason("boxes_only", "only boxes were judged, nobody looked for missed objects (scope exhaustive)")
    if len(images):
        return Reason("partly_marked", f"none of {len(images):,} marked images has a verdict on every served box")
    return Reason("no_feedback", "no image of the period has been reviewed")


def _selected(reviews: Reviews, engine: Engine, counted: Flags, *, exhaustive: bool) -> Sample:
    """The weights 1 / (pi · share reviewed) of the images that the engine selected."""
    import numpy as np

    images, totals = reviews.images, reviews.totals
    none = np.zeros(len(images))
    cells = list(_cells(reviews, exhaustive=exhaustive))
    weight = estimation.weights(cells)
    if isinstance(weight, float):
        told = f"of the images selected with a probability of {weight:g} none is reviewed"
        return Sample(None, none, (Reason("rate_without_reviews", told),))
    w = none.copy()
    for place in np.flatnonzero(counted & ~np.isnan(images.pi)).tolist():
        pi = float(images.pi[place])
        w[place] = weight.get((pi, images.sources[images.source[place]]), 1 / pi)
    reasons = []
    chosen, done = sum(cell.selected for cell in cells), sum(cell.reviewed for cell in cells)
    if done < RESPONSE * chosen:
        how = "looked at as a whole" if exhaustive else "reviewed"
        told = f"{done:,} of {chosen:,} selected images are {how}; the others are taken to be alike"
        reasons.append(Reason("low_response", told))
    if totals.scanned < COVERAGE * totals.images:
        told = (
            f"the engine has scanned {totals.scanned / totals.images:.1%} of the period's images (`detmon engine run`)"
        )
        reasons.append(Reason("partial_coverage", told))
    if engine.others:
        told = f"weights are those of {engine.dataset!r}; {', '.join(map(repr, engine.others))}: --dataset"
        reasons.append(Reason("several_engines", told))
    if totals.reached < totals.scanned and engine.selected < totals.scanned:
        told = (
            f"of {totals.scanned - totals.reached:,} scanned images only those that met a condition could be selected "
            "(random_sample is off): the reviews speak for flagged images only"
        )
        return Sample("flagged", w, (*reasons, Reason("flagged_only", told)))
    return Sample("sample", w, tuple(reasons))


def _cells(reviews: Reviews, *, exhaustive: bool) -> Iterator[Cell]:
    """The selected images and how many of them are reviewed; for precision only those with a served box.

    The others add nothing to precision, reviewed or not, and people rarely bother to say so.
    """
    for cell in reviews.cells:
        if exhaustive:
            yield Cell(cell.pi, cell.source, cell.selected, cell.looked_at)
        elif cell.served:
            yield Cell(cell.pi, cell.source, cell.served, cell.judged)


# --- what is estimated ---------------------------------------------------------------------------------------------

Pair: TypeAlias = "tuple[Floats, Floats]"
"""Numerator and denominator of each image."""


def precision(reviews: Reviews, label: int | None = None) -> Pair:
    """Correct boxes and reviewed boxes, of all labels or of one predicted label."""
    verdicts = reviews.verdicts
    return of_boxes(reviews, verdicts.kind == CORRECT, label)


def of_boxes(reviews: Reviews, chosen: Flags, label: int | None = None) -> Pair:
    """The `chosen` verdicts on boxes, and all verdicts on boxes; of one predicted label where that is given."""
    verdicts = reviews.verdicts
    boxes = verdicts.judged if label is None else verdicts.judged & (verdicts.label == label)
    return reviews.per_image(boxes & chosen), reviews.per_image(boxes)


def recall(reviews: Reviews, label: int | None = None) -> Pair:
    """Found objects and objects, of all or of one true label; a wrong label or box is an object not found."""
    verdicts = reviews.verdicts
    objects = verdicts.kind != FALSE_POSITIVE
    if label is not None:
        objects = objects & (verdicts.true_label == label)
    return reviews.per_image(objects & (verdicts.kind == CORRECT)), reviews.per_image(objects)


def missed(reviews: Reviews) -> Pair:
    """Missed objects, and images."""
    return reviews.per_image(reviews.verdicts.kind == MISSED), reviews.images.number


@dataclass(frozen=True)
class Least:
    """How many images and how many of what is counted an estimate needs."""

    images: int
    n: int
    what: str
    share: bool = True


def least(settings: Settings, what: str = "reviewed boxes") -> Least:
    """What a global share needs."""
    return Least(settings.min_images, settings.min_detections, what)


CLASS_IMAGES, CLASS_BOXES = 10, 20
OF_A_CLASS = Least(CLASS_IMAGES, CLASS_BOXES, "reviewed boxes")
"""What the share of a class needs; its images are those in which it occurs."""


@dataclass(frozen=True)
class Estimated:
    """An estimate, or the reason why there is none; `n` and `images` stand behind it."""

    ratio: Ratio | None
    n: int
    images: int
    reason: Reason | None = None


def estimate(reviews: Reviews, weights: Sample, pair: Pair, needs: Least, *, of_class: bool = False) -> Estimated:
    """The weighted ratio of `pair` over the images that count, if they are enough."""
    y, x = pair
    images, counted = reviews.images, weights.counted
    there = counted & (x > 0) if of_class else counted
    looked, n = int(images.number[there].sum()), int(x[counted].sum())
    if looked < needs.images or n < needs.n:
        short = f"{looked:,} of {needs.images} images" if looked < needs.images else f"{n:,} of {needs.n} {needs.what}"
        return Estimated(None, n, looked, Reason("too_few", f"{short} needed are reviewed"))
    ratio = estimation.ratio_estimate(
        weights.w[counted],
        y[counted],
        x[counted],
        images.source[counted],
        images.day[counted],
        images.hour[counted],
        share=needs.share,
    )
    return Estimated(ratio, n, looked)
