"""`model.json`: what a training says of the model that it made."""

from __future__ import annotations

import json
from pathlib import Path

from detmon.errors import OperationError
from detmon.hookspecs import TrainedModel

MODEL = "model.json"
LONGEST = 1000
"""Letters of what it says."""


def model_of(output: Path) -> TrainedModel:
    """The model that a training left in its folder.

    Raises OperationError for a folder in which nothing is, and for a `model.json` that says nothing.
    """
    if not output.is_dir() or not any(output.iterdir()):
        raise OperationError(f"exit code 0, but nothing is in {output}")
    file = output / MODEL
    if not file.exists():
        return TrainedModel()
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise OperationError(f"cannot read {file}: {error}") from None
    model = read(text, str(file))
    if model.uri and "://" not in model.uri and (output / model.uri).exists():
        return TrainedModel(model.name, model.version, str(output / model.uri))
    return model


def read(text: str, where: str) -> TrainedModel:
    """A model as `model.json` describes it: `name`, `version` and `uri`, all of them optional.

    Raises OperationError for anything else.
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OperationError(f"{where} is no JSON: {error}") from None
    if not isinstance(said, dict):
        raise OperationError(f"{where} is no object with name, version and uri")
    if type(said.get("version")) is int:
        said["version"] = str(said["version"])
    found = {key: said.get(key) for key in ("name", "version", "uri")}
    for key, value in found.items():
        if value is not None and (not isinstance(value, str) or not value.strip() or not value.isprintable()):
            raise OperationError(f"{where}: {key} = {json.dumps(value)[:LONGEST]} is no text on one line")
        if value is not None and len(value) > LONGEST:
            raise OperationError(f"{where}: {key} has {len(value):,} letters")
    return TrainedModel(**found)
