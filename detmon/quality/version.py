"""A model against the labels of a dataset version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from detmon.datasets import filenames, labels, versions
from detmon.errors import InputRefused, UsageError
from detmon.formats.contract import Warned
from detmon.formats.supply import image_ids
from detmon.formats.truth import SPLITS, Truth
from detmon.quality.records import LabelsUsed
from detmon.store import Connection

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Places = NDArray[np.int64]

SIZE_SLACK = 1
"""Pixels by which two statements of an image's side may differ."""


@dataclass(frozen=True)
class Labels:
    """The labels of a version, or of one split of it: which they are, and the names of their images in an export."""

    truth: Truth
    used: LabelsUsed
    exported: Sequence[str]


def read(con: Connection, id_or_name: str, split: str | None = None) -> Labels:
    """The labels of a version. Raises UnknownName, UsageError for a split without images, OperationError."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if split not in (None, *SPLITS):
        raise UsageError(f"split {split!r}", f"one of {', '.join(SPLITS)}")
    id = versions.find(con, id_or_name)
    versions.check(con, id)
    said = versions.details(con, id)
    rows = labels.table(con, id)
    told = (rows[column].to_pylist() for column in ("image_id", "image_uri", "item_id"))
    rows = rows.append_column("exported", pa.array(filenames.names(zip(*told, strict=True)), pa.string()))
    if split:
        rows = rows.filter(pc.equal(rows["split"], split))
    if not len(rows):
        what = f"no image for {split!r}" if split and said.items else "no image"
        raise UsageError(f"version {said.name!r} has {what}", "`detmon version show` says what it holds")
    used = LabelsUsed(id, said.name, said.dataset, said.digest, split, len(rows))
    truth = replace(labels.truth(rows, said.digest), warnings=tuple(_partial(rows, split)))
    return Labels(truth, used, rows["exported"].to_pylist())


def _partial(rows: pa.Table, split: str | None) -> Iterator[Warned]:
    """Whom the labels favour: the model whose boxes they are, and whoever was trained on them."""
    made = Counter(model for model in rows["model_id"].to_pylist() if model)
    if made:
        whose = " and ".join(model for model, _ in made.most_common())
        text = f"{made.total():,} images are labelled by boxes of {whose}, as reviewers left them: they favour it"
        yield Warned("labels_of_model", text, made.total())
    if split is None and (n := rows["split"].to_pylist().count("train")):
        yield Warned("training_images", f"{n:,} images are for training: they favour what was trained on them", n)


class Placing:
    """Finds the image of a version that a prediction is of.

    Its id, and its source where both have one, tell it; or the name that the image has in an export, with or without
    folder and suffix. Of several predictions of an image the newest counts.
    """

    def __init__(self, labels: Labels, style: str | None) -> None:
        import pyarrow as pa

        self.truth = truth = labels.truth
        self.style = style
        self._by_source: dict[tuple[str, str], int | None] = {}
        self._by_id: dict[str, int | None] = {}
        self._exported: dict[str, int | None] = {}
        styled = image_ids(pa.array(truth.images, pa.string()), style).to_pylist()
        for place, (image_id, about, name) in enumerate(zip(styled, truth.about, labels.exported, strict=True)):
            if about["source"]:
                _add(self._by_source, (about["source"], image_id), place)
            _add(self._by_id, image_id, place)
            for known in (name, PurePosixPath(name).stem):
                _add(self._exported, known, place)

    def __call__(self, images: pa.Table) -> tuple[Places, list[Warned]]:
        """The place in the labels of each row of images, -1 for none, and what is to be said of them."""
        import numpy as np

        ids = image_ids(images["image_id"].combine_chunks(), self.style).to_pylist()
        sources = images["source"].to_pylist()
        found = [self._find(image_id, source) for image_id, source in zip(ids, sources, strict=True)]
        unclear = sum(place is None for place in found)
        place = np.array([-1 if one is None else one for one in found], np.int64)
        if not (place >= 0).any():
            ours = repr(ids[0]) if ids else "no prediction"
            raise InputRefused(
                f"no image in common (log: {ours}, version: {self.truth.images[0]!r})",
                "--image-id name or stem compares only that part of paths",
                code="no_common_images",
            )
        place, older = _newest(place, images["ts"].to_numpy())
        return place, list(self._warnings(images, place, unclear, older))

    def _find(self, image_id: str, source: str | None) -> int | None:
        """The place of an image: -1 where there is none, None where several would fit."""
        if source and (source, image_id) in self._by_source:
            return self._by_source[source, image_id]
        if image_id in self._by_id:
            return self._by_id[image_id]
        return self._exported.get(PurePosixPath(image_id).name, -1)

    def _warnings(self, images: pa.Table, place: Places, unclear: int, older: int) -> Iterator[Warned]:
        if unclear:
            text = f"{unclear:,} predictions are left out: their ids fit several images of the version"
            yield Warned("same_image_id", text, unclear)
        if older:
            yield Warned(
                "same_image", f"{older:,} predictions are left out: there is a newer one of their image", older
            )
        without = int((place < 0).sum()) - unclear - older
        if without:
            yield Warned("not_in_version", f"{without:,} predictions of other images are ignored", without)
        elsewhere = self._elsewhere(images, place)
        if elsewhere:
            text = f"{elsewhere:,} images are the version's by their id, but of another source"
            yield Warned("other_source", text, elsewhere)
        if other := self._other_size(images, place):
            yield Warned("other_size", other[0], other[1])

    def _elsewhere(self, images: pa.Table, place: Places) -> int:
        pairs = zip(images["source"].to_pylist(), place.tolist(), strict=True)
        told = ((source, self.truth.about[at]["source"]) for source, at in pairs if at >= 0)
        return sum(bool(ours and theirs and ours != theirs) for ours, theirs in told)

    def _other_size(self, images: pa.Table, place: Places) -> tuple[str, int] | None:
        sides = ("image_width", "image_height")
        rows = zip(*(images[side].to_pylist() for side in sides), place.tolist(), strict=True)
        differing = [
            (width, height, *(self.truth.about[at][side] for side in sides))
            for width, height, at in rows
            if at >= 0 and _differ((width, height), [self.truth.about[at][side] for side in sides])
        ]
        if not differing:
            return None
        width, height, *known = differing[0]
        told = f"log: {width}×{height}, version: {known[0]}×{known[1]}"
        return f"{len(differing):,} images have another size than in the version ({told})", len(differing)


def _add(known: dict[Any, int | None], key: Any, place: int) -> None:
    known[key] = place if known.get(key, place) == place else None


def _differ(ours: Sequence[int | None], theirs: Sequence[int | None]) -> bool:
    return any(a is not None and b is not None and abs(a - b) > SIZE_SLACK for a, b in zip(ours, theirs, strict=True))


def _newest(place: Places, ts: NDArray[Any]) -> tuple[Places, int]:
    """`place` with -1 for all but the newest prediction of each image, and how many these are."""
    import numpy as np

    order = np.lexsort((ts, place))
    last = np.append(place[order][1:] != place[order][:-1], True) | (place[order] < 0)
    older = order[~last]
    kept = place.copy()
    kept[older] = -1
    return kept, len(older)
