"""supervision's `CSVSink`: a row a box, two corners, the user's own columns behind; missing values are empty."""

from __future__ import annotations

from dataclasses import replace

from detmon.formats.boxrows import BoxRows
from detmon.formats.contract import Options
from detmon.formats.flat import Cells, Columns, FlatCsv, header, whole
from detmon.formats.inputs import Input
from detmon.formats.supervision_json import CORNERS, SUPERVISION


class SupervisionCsv(FlatCsv):
    """Boxes of all images; those without boxes have written nothing."""

    from_zero = True

    def sniff(self, head: bytes, path: str) -> str | None:
        """A header with corners and a class id."""
        if not self.fits(head) or b"\0" in head or not set(header(head, path)) >= SUPERVISION:
            return None
        return "a CSV header with x_min, y_min, x_max, y_max and class_id"

    def prepare(self, source: Input, options: Options) -> Options:
        """Settle the columns: the sink's own, where the map does not say otherwise."""
        own = {"label": "class_name", "track_id": "tracker_id", "confidence": "confidence"}
        names = header(source.head, source.name)
        known = {name: column for name, column in own.items() if column in names}
        mapped = {name.removeprefix("detections."): column for name, column in options.map.items()}
        box = {"bbox": ",".join(CORNERS)}
        super().prepare(source, replace(options, map={"label": "class_id", **known, **box, **mapped}))
        self.layout = "xywh" if "bbox" in mapped else "xyxy"
        self.known = ("class_id",)
        return options

    def _rows(self, cells: Cells, columns: Columns, *, has_header: bool) -> BoxRows:
        import pyarrow as pa
        import pyarrow.compute as pc

        rows = super()._rows(cells, columns, has_header=has_header)
        label = rows.columns["label"]
        named = columns.fields.get("label") == "class_name" and "class_id" in self.names
        if not named or not label.null_count:
            return rows
        texts = (column.cast(pa.string()) for column in (label, whole(cells.table["class_id"])))
        return replace(rows, columns={**rows.columns, "label": pc.coalesce(*texts)})
