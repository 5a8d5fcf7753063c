"""Causes that are not the world: named only where the data show them."""

from __future__ import annotations

from collections.abc import Iterator

from detmon.drift.compare import Comparison
from detmon.drift.records import SourceMix
from detmon.drift.sources import MIX_MOVED
from detmon.stats.blocks import Note


def causes(found: Comparison, mix: SourceMix) -> list[Note]:
    """What else than the world may have moved the numbers, as notes."""
    return list(_all(found, mix))


def _all(found: Comparison, mix: SourceMix) -> Iterator[Note]:
    if mix.drift is not None and mix.drift >= MIX_MOVED:
        yield _source_mix(mix)


def _source_mix(mix: SourceMix) -> Note:
    text = f"The images come from other sources than before (distance {mix.drift:.2f})"
    if mix.class_drift_same_mix is not None:
        text += f"; with the reference's mix of sources, class drift is {mix.class_drift_same_mix:.3f}"
    return Note("source_mix_changed", f"{text}.")
