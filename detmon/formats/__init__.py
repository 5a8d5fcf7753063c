"""Reading logs: whatever people have → validated batches in one schema.

`ingest` sees only what this module names: it opens a `Source` and takes `Part`s from the `Reading`. Recognition,
mapping, the ambiguity detector and validation happen behind it, the same for every format; a format is one file with a
reader (`detmon.hookspecs.FormatReader`), first-party and third-party alike.
"""

from detmon.formats.chunk import CANONICAL, Chunk, Seen
from detmon.formats.contract import Options, Part, Reading, Reject, Source, Warned, stored_schema
from detmon.formats.reading import open_source
from detmon.formats.registry import is_per_image

__all__ = [
    "CANONICAL",
    "Chunk",
    "Options",
    "Part",
    "Reading",
    "Reject",
    "Seen",
    "Source",
    "Warned",
    "is_per_image",
    "open_source",
    "stored_schema",
]
