"""Telling an engine what to look for: from a mapping, a file, or the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from detmon import datasets, models
from detmon.config import Config
from detmon.data_engine import engines, settings
from detmon.data_engine.records import DataEngine
from detmon.errors import UsageError
from detmon.store import Connection


@dataclass(frozen=True)
class Said:
    """A configuration with every default filled in, and the dataset that it names itself."""

    config: Mapping[str, Any]
    dataset: str | None


def said(config: Config, model_id: str, given: Mapping[str, Any] | None, file: Path | None) -> Said:
    """What is asked for, from the first that there is: `given`, `file`, the model's table of the configuration.

    Raises ConfigError for what an engine cannot be told, UsageError where there is nothing.
    """
    where = f"[models.{model_id!r}.engine]"
    if given is None:
        given = settings.read(file) if file else config.table("models", model_id, "engine")
        where = str(file) if file else where
        if not given:
            raise UsageError(f"{where} says nothing", "write that table into detmon.toml, or give --file")
    else:
        where = "config"
    return Said(settings.complete(given, where), settings.dataset(given, where))


def configure(
    con: Connection, model_id: str, said: Said, dataset: str | None, now: datetime, *, retake: bool
) -> DataEngine:
    """Make or change an engine, in the caller's transaction; `dataset` must exist, one that `said` names is made."""
    other = said.config["disagreement"]
    if other["enabled"]:
        other["other_model"] = models.find(con, other["other_model"]).id
        if other["other_model"] == model_id:
            raise UsageError(f"disagreement: {model_id} cannot disagree with itself")
    if dataset is not None:
        target = datasets.find(con, dataset)
    elif said.dataset:
        target = datasets.create(con, said.dataset, now).id
    else:
        raise UsageError("no dataset is named", "--dataset NAME, or dataset = NAME in the configuration")
    engine = engines.configure(con, model_id, target, said.config, now, retake=retake)
    return engines.record(con, engine)
