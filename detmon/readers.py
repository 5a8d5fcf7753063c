"""The log formats of detmon itself, registered through the hook that plugins use.

A reader is one class in one module of `detmon.formats`, named here and imported when a log is read. The order is that
in which formats are named when several fit; a format with several readers has one a kind of container.
"""

from __future__ import annotations

from detmon.hookspecs import RegisterFormat, hookimpl

READERS = (
    ("detmon", "jsonl:JsonObjects"),
    ("detmon", "parquet:Parquet"),
    ("roboflow", "roboflow:Roboflow"),
    ("torchvision", "torchvision:TorchvisionJson"),
    ("torchvision", "torchvision:TorchvisionParquet"),
    ("ultralytics-json", "ultralytics:Ultralytics"),
    ("frigate", "frigate:Frigate"),
    ("coco", "coco:CocoDataset"),
    ("ultralytics-val", "coco:UltralyticsVal"),
    ("coco-results", "coco:CocoResults"),
    ("supervision-json", "supervision_json:SupervisionJson"),
    ("supervision-csv", "supervision_csv:SupervisionCsv"),
    ("flat", "flat:FlatCsv"),
    ("flat", "flat:FlatParquet"),
    ("flat", "flat_json:FlatJson"),
    ("mot", "mot:Mot"),
    ("ultralytics-txt", "savetxt:SaveTxt"),
)


@hookimpl
def detmon_register_formats(register: RegisterFormat) -> None:
    """Name every reader; none is imported by it."""
    for name, place in READERS:
        register(name, f"detmon.formats.{place}")
