"""Checks of one model's predictions: pure functions of its facts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from detmon.doctor.facts import Day, Log
from detmon.doctor.records import Finding
from detmon.stats.floors import Begin, moved
from detmon.times import format_duration

ENOUGH = 100
"""Images, boxes or times without which a share says nothing."""
ENOUGH_BOXES = 1000
NEW_LABELS = 0.3
LATENCY, AREA = math.log(1.02), math.log(1.05)
"""The logarithmic bins of the rollups."""
SMALLEST_AREA = math.ceil(math.log(1e-6) / AREA)
"""The bin of all areas up to a millionth of the image."""


def images_without_boxes(log: Log) -> Iterator[Finding]:
    """Whether rates per image can be had: every image must be in the log, the empty ones, too."""
    rates = "detections_per_image, no_detection_rate, prediction_count and error_rate"
    if log.unknown:
        yield Finding(
            "denominator_unknown",
            "warning",
            f"{_of(log.unknown, log.images)} images come from logs that may leave out images without boxes: "
            f"{rates} have no value where they are",
            "ingest such logs with --images LIST, or with --complete if none is missing (docs/formats.md)",
            log.model_id,
        )
    counts = log.histograms["count"]
    single = counts.get(1, 0)
    if not log.unknown and not log.empty and log.images >= ENOUGH and single > 0.05 * log.images:
        yield Finding(
            "no_empty_images",
            "warning",
            f"not one of {log.images:,} images is without a box, but {single:,} have just one: if the logger leaves "
            f"empty images out, {rates} are wrong",
            "log every inference (docs/serving.md), or list what was seen: --images LIST",
            log.model_id,
        )


def units(log: Log) -> Iterator[Finding]:
    """Whether latencies, confidences and boxes are in the units they are taken for."""
    yield from _latency(log)
    yield from _scores(log)
    yield from _areas(log)


def _latency(log: Log) -> Iterator[Finding]:
    times = log.histograms["latency"]
    if log.images >= ENOUGH and not log.timed:
        text = "no image has a latency: latency metrics and their alerts have no value"
        yield Finding("no_latency", "info", text, "log latency_ms (docs/serving.md)", log.model_id)
    if log.timed < ENOUGH:
        return
    median = math.exp(_quantile(times, 0.5) * LATENCY)
    if median < 0.5:
        text = f"the median latency is {median:.3g} ms: seconds taken for milliseconds?"
        yield Finding("latency_unit", "warning", text, "ingest with --latency-unit s", log.model_id)
    elif median > 60_000:
        text = f"the median latency is {median / 1000:,.0f} s: microseconds taken for milliseconds?"
        yield Finding("latency_unit", "warning", text, "log milliseconds", log.model_id)


def _scores(log: Log) -> Iterator[Finding]:
    scores = log.histograms["confidence"]
    if log.boxes - log.scored > 0.01 * log.boxes:
        text = f"{_of(log.boxes - log.scored, log.boxes)} boxes have no confidence: confidence metrics leave them out"
        yield Finding("confidence_missing", "warning", text, "--map confidence=COLUMN", log.model_id)
    if log.scored < ENOUGH:
        return
    highest = (max(scores) + 1) / 1000
    if len(scores) == 1:
        text = f"every confidence is about {min(scores) / 1000:.3f}: confidence metrics and drift of it say nothing"
        yield Finding("confidence_constant", "warning", text, "log the model's own scores", log.model_id)
    elif highest <= 0.011:
        text = f"no confidence is above {highest:.2f}: shares divided by 100 once too often?"
        yield Finding("score_scale", "warning", text, "without --score-scale percent", log.model_id)


def _areas(log: Log) -> Iterator[Finding]:
    areas = log.histograms["area"]
    known = sum(areas.values())
    if log.boxes >= ENOUGH and not known:
        text = "no box has a share of its image (sizes of images, or boxes, are missing): rules on sizes have no value"
        yield Finding("no_image_size", "info", text, "log image_width and image_height, or --image-size", log.model_id)
    if known < ENOUGH:
        return
    if sum(n for bin, n in areas.items() if bin <= SMALLEST_AREA) > 0.99 * known:
        text = "boxes cover less than a millionth of their image: shares of the image taken for pixels?"
        yield Finding("box_unit", "warning", text, "ingest with --box-format xywh-norm or xyxy-norm", log.model_id)
    too_large = sum(n for bin, n in areas.items() if bin > 1)
    if too_large > 0.01 * known:
        text = f"{_of(too_large, known)} boxes are larger than their image: corners taken for sizes, or a wrong size?"
        yield Finding("box_unit", "warning", text, "ingest with --box-format xyxy, or --image-size", log.model_id)


def clock(log: Log, now: datetime) -> Iterator[Finding]:
    """Whether times can be those of the images."""
    ahead = log.last - now
    if ahead > timedelta(minutes=5):
        text = f"the newest image is {_about(ahead)} ahead of this clock: windows that end now miss it"
        yield Finding("future_time", "warning", text, "compare the clocks; times without zone need --tz", log.model_id)
    if now - log.last > timedelta(days=7):
        text = f"the newest image is {_about(now - log.last)} old: windows that end now are empty"
        yield Finding("no_new_images", "info", text, "look at a --period, or ingest newer logs", log.model_id)


def arrivals(log: Log) -> Iterator[Finding]:
    """How late rows come, where they come as time goes by; rules that look sooner are checked elsewhere."""
    came = log.arrivals
    if not came.live or came.rows < ENOUGH:
        return
    if came.delay > timedelta(minutes=5):
        text = f"95 % of the last week's rows were stored within {covering(came.delay)} of their time"
        yield Finding(
            "ingest_lag", "info", text, f"alerts on short windows: --delay {covering(came.delay)}", log.model_id
        )
    if came.late > 0.01 * came.rows:
        text = f"{_of(came.late, came.rows)} of the last week's rows came after newer ones: checks may have missed them"
        hint = "detmon alert history RULE --recompute shows what they would have changed"
        yield Finding("out_of_order", "info", text, hint, log.model_id)


def score_floor(log: Log) -> Iterator[Finding]:
    """Whether the scores begin where they began before."""
    said = [(day.day, (day.floor_min, day.floor_max)) for day in log.days if day.floor_min is not None]
    moved = [(later, before, floors) for (_, before), (later, floors) in pairwise(said) if floors != before]
    told = "mean confidence and counts before and after are not comparable"
    hint = "compare periods on one side of it; detmon baseline set"
    if moved:
        day, before, after = moved[-1]
        text = f"confidence_floor is {_span(after)} since {day:%Y-%m-%d}, before {_span(before)}"
        times = f" ({len(moved)} changes)" if len(moved) > 1 else ""
        yield Finding("floor_moved", "warning", f"{text}{times}: {told}", hint, log.model_id)
    elif step := _step([day for day in log.days if day.scored >= ENOUGH]):
        day, low_before, low_after = step
        text = f"scores begin at {low_after:.2f} since {day:%Y-%m-%d}, before at {low_before:.2f}"
        yield Finding("floor_moved", "warning", f"{text}: {told}", hint, log.model_id)


def _step(days: Sequence[Day]) -> tuple[datetime, float, float] | None:
    """The day since which scores begin elsewhere, on every day before and since; and where, before and since."""
    for place in range(1, len(days)):
        before, since = days[:place], days[place:]
        if moved([_begin(day) for day in before], [_begin(day) for day in since]):
            return days[place].day, min(day.lowest or 0 for day in before), min(day.lowest or 0 for day in since)
    return None


def _begin(day: Day) -> Begin:
    return Begin(day.scored, day.lowest or 0.0, day.edge or 0.0)


def label_map(log: Log) -> Iterator[Finding]:
    """Whether labels are names, each written in one way, and the same names all along."""
    names = [label for label in log.labels if label]
    if names and all(name.lstrip("-").isdigit() for name in names):
        text = f"all {len(names)} labels are numbers: other detectors' numbers mean other things"
        yield Finding("label_is_number", "warning", text, "ingest with --categories FILE", log.model_id)
    for group in alike(names):
        text = f"labels that differ in spelling only count as different classes: {_named(group)}"
        yield Finding("labels_alike", "warning", text, "let the model's server write one of them", log.model_id)
    if change := _label_change(log):
        day, new, share = change
        text = f"since {day:%Y-%m-%d} {share:.0%} of the boxes have labels that were never there before ({_named(new)})"
        hint = "another label map? detmon drift check shows what moved; a new model needs a new model_id"
        yield Finding("label_map_changed", "warning", f"{text}, and old ones are gone", hint, log.model_id)


def _label_change(log: Log) -> tuple[datetime, list[str], float] | None:
    """The day since which much of the boxes has new labels while old ones are gone."""
    starts = {label: min(days) for label, days in log.labels.items()}
    ends = {label: max(days) for label, days in log.labels.items()}
    for day in sorted(set(starts.values()))[1:]:
        total = sum(n for days in log.labels.values() for at, n in days.items() if at >= day)
        fresh = [label for label, start in starts.items() if start == day]
        boxes = sum(sum(log.labels[label].values()) for label in fresh)
        gone = any(end < day for end in ends.values())
        if gone and total >= ENOUGH_BOXES and boxes > NEW_LABELS * total:
            return day, sorted(fresh, key=lambda label: -sum(log.labels[label].values())), boxes / total
    return None


def same_counts(log: Log) -> Iterator[Finding]:
    """Whether the number of boxes tells anything."""
    counts = {bin: n for bin, n in log.histograms["count"].items() if bin >= 10}
    total = sum(log.histograms["count"].values())
    if total < ENOUGH or not counts:
        return
    count = max(counts, key=lambda bin: counts[bin])
    if counts[count] >= 0.95 * total and (count < 65 or log.same_count):
        many = f"{count}" if count < 65 else f"{log.boxes // total}"
        text = f"{counts[count]:,} of {total:,} images have exactly {many} boxes (the best so many): counts say nothing"
        yield Finding("fixed_count", "warning", text, "log from a score on, and say it: confidence_floor", log.model_id)


def boxes_on_boxes(log: Log) -> Iterator[Finding]:
    """Whether objects are counted twice."""
    seen = log.overlaps
    if not seen.looked:
        return
    shares = {
        "twin_boxes": (
            seen.two_labels,
            "two boxes of different labels in one place (non-maximum suppression by class)",
        ),
        "duplicate_boxes": (seen.equal, "the same box twice"),
        "overlapping_boxes": (seen.one_label - seen.equal, "two boxes of one label in one place"),
    }
    for code, (found, what) in shares.items():
        images = round(seen.images * found / seen.looked)
        if found > 0 and images > 0.01 * log.images:
            level = "warning" if images > 0.05 * log.images else "info"
            text = f"about {_of(images, log.images)} images have {what}: one object counts twice"
            yield Finding(code, level, text, "ingest with --merge-boxes 0.95", log.model_id)


def repeated_images(log: Log) -> Iterator[Finding]:
    """Whether images were logged more than once."""
    seen = log.repeated
    if seen.repeated > 0.01 * seen.images:
        yield Finding(
            "image_logged_twice",
            "warning",
            f"{_of(seen.repeated, seen.images)} image ids were logged more than once with different times "
            f"({seen.example}): if they are the same images, counts and rates count them each time",
            "a server that logs twice, or frame numbers that begin anew: give each image an id of its own",
            log.model_id,
        )


def silent_sources(log: Log) -> Iterator[Finding]:
    """Whether sources stopped while others of the model went on."""
    day = timedelta(days=1)
    silent = [
        seen.name
        for seen in log.sources
        if seen.hours >= 24 and log.last - seen.last > max(day, 3 * timedelta(hours=seen.pause))
    ]
    if silent:
        text = f"{len(silent)} of {len(log.sources)} sources went silent before the others: {_named(silent)}"
        hint = "the camera, or its log; alert on prediction_count --by source tells when it happens"
        yield Finding("silent_sources", "warning", text, hint, log.model_id)


def alike(names: Sequence[str]) -> list[list[str]]:
    """The names that differ in case, blanks, hyphens and underscores only."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault("".join(name.casefold().replace("-", "").replace("_", "").split()), []).append(name)
    return [sorted(group) for group in groups.values() if len(group) > 1]


def covering(delay: timedelta) -> str:
    """A delay as options take it, in whole minutes, not less."""
    return format_duration(timedelta(minutes=max(1, math.ceil(delay.total_seconds() / 60))))


def _quantile(bins: Mapping[int, int], q: float) -> int:
    left = q * sum(bins.values())
    for bin in sorted(bins):
        left -= bins[bin]
        if left <= 0:
            return bin
    raise ValueError("an empty histogram has no quantile")


def _of(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,}"


def _span(floors: tuple[float | None, float | None]) -> str:
    low, high = floors
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"


def _about(length: timedelta) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if length.total_seconds() >= 2 * size:
            return f"{length.total_seconds() / size:.0f} {unit}"
    return f"{length.total_seconds():.0f} seconds"


def _named(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more
