"""The register of models: made on first sight of a log, or by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from detmon.errors import UnknownName, UsageError
from detmon.records import Model
from detmon.store import Connection, statement


def split_id(model_id: str) -> tuple[str, str | None]:
    """Name and version of an id: `vehicles@3` → `("vehicles", "3")`; without `@` there is no version."""
    name, at, version = model_id.rpartition("@")
    return (name, version) if at and name and version else (model_id, None)


def register_seen(con: Connection, model_ids: Iterable[str], now: datetime) -> None:
    """Add the models of a log that are not registered yet. Runs in the caller's transaction."""
    for model_id in model_ids:
        name, version = split_id(model_id)
        values = {"id": model_id, "name": name, "version": version, "uri": None, "zone": None, "now": now}
        con.execute(statement("add_model"), values)


def register(
    con: Connection, name: str, version: str | None, uri: str | None, zone: str | None, now: datetime
) -> Model:
    """Add one model, or return the equal one that is there. Raises UsageError when its `uri` or `zone` differ."""
    if not name or (version is not None and not version):
        raise UsageError("a model needs a name that is not empty")
    model_id = f"{name}@{version}" if version else name
    con.execute(
        statement("add_model"),
        {"id": model_id, "name": name, "version": version, "uri": uri, "zone": zone, "now": now},
    )
    found = find(con, model_id)
    for key, wanted, present in (("uri", uri, found.uri), ("zone", zone, found.zone)):
        if wanted is not None and present is None:
            con.execute(statement(f"set_model_{key}"), {"id": model_id, key: wanted})
        elif wanted is not None and wanted != present:
            raise UsageError(f"{model_id} is registered with another {key}: {present}")
    return find(con, model_id)


def declare(con: Connection, model_id: str, said: Mapping[str, str], now: datetime) -> Model:
    """Make a model what is `said` of it (name, version, uri, zone); what is not said stays as it is."""
    present = next((model for model in every(con) if model.id == model_id), None)
    if present is None:
        name, version = split_id(model_id)
        values = {"name": name, "version": version, "uri": None, "zone": None, **said}
        con.execute(statement("add_model"), {"id": model_id, "now": now, **values})
    elif any(getattr(present, key) != value for key, value in said.items()):
        kept = {key: getattr(present, key) for key in ("name", "version", "uri", "zone")}
        con.execute(statement("change_model"), {"id": model_id, **kept, **said})
    return find(con, model_id)


def every(con: Connection) -> list[Model]:
    """All models, by id."""
    return [
        Model(id, name, version, uri, zone, tuple(aliases or ()), *rest)
        for id, name, version, uri, zone, aliases, *rest in con.execute(statement("list_models")).fetchall()
    ]


def find(con: Connection, id_or_name: str) -> Model:
    """The model with this id, or the only one of this name. Raises UnknownName, or UsageError for several."""
    models = every(con)
    by_id = [model for model in models if model.id == id_or_name]
    if by_id:
        return by_id[0]
    by_name = [model for model in models if model.name == id_or_name or id_or_name in model.aliases]
    if len(by_name) > 1:
        raise UsageError(
            f"{id_or_name!r} fits {len(by_name)} models: {', '.join(model.id for model in by_name)}",
            "name one by its id",
        )
    if not by_name:
        raise UnknownName("model", id_or_name, [model.id for model in models], None if models else "no model yet")
    return by_name[0]


def chosen(con: Connection, id_or_name: str | None) -> Model:
    """The model that was named, or the only one there is. Raises as `find`, or UsageError where one must be named."""
    if id_or_name is not None:
        return find(con, id_or_name)
    models = every(con)
    if len(models) != 1:
        known = ", ".join(model.id for model in models)
        raise UsageError("which model?" if models else "no model yet", f"--model, one of {known}" if models else None)
    return models[0]


def of_log(con: Connection, wanted: str | None, registered: str | None, log: str) -> Model:
    """The model of an unstored log: the one that was named, or the only one. Raises UsageError.

    `registered`: the id of the model that is `wanted` where it is known by a name or an alias.
    """
    listed = every(con)
    known = ", ".join(model.id for model in listed)
    if wanted is None and len(listed) != 1:
        raise UsageError(f"which model? {log} has predictions of {known}", "--model names one")
    for model in listed:
        if wanted in (None, model.id):
            return model
    fitting = [model for model in listed if registered == model.id or wanted == model.name]
    if len(fitting) != 1:
        hint = "--model (in a gate: model) names one"
        raise UsageError(f"{log} has predictions of {known}, not of {wanted!r}", hint)
    return fitting[0]


def promote(con: Connection, model: Model, alias: str, over: Iterable[str] = ()) -> Model:
    """Give a model an alias, and take it from the other models of its name and of the names `over`."""
    values = {"id": model.id, "alias": alias, "names": [model.name, *over]}
    con.execute(statement("move_model_alias"), values)
    return find(con, model.id)


def check_alias(alias: str) -> None:
    """Raise UsageError for what cannot be an alias."""
    if not alias or alias != alias.strip():
        raise UsageError(f"{alias!r} is no alias", "for example champion")
