"""The declarations of a file (`[models]`, `[[alerts]]`, `[[ab_tests]]`), checked as far as that needs no store."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from detmon import times
from detmon.ab_tests import definition as tests
from detmon.alerts import rules
from detmon.data_engine import settings
from detmon.data_engine.configure import Said
from detmon.errors import Collector, ConfigError, UsageError
from detmon.metrics import Metric

DISTINCT = "give each a name of its own"


@dataclass(frozen=True)
class DeclaredModel:
    """`[models.ID]`: what is said of it, the period of its baseline, its engine."""

    where: str
    id: str
    said: Mapping[str, str]
    baseline: str | None
    engine: Said | None


@dataclass(frozen=True)
class DeclaredAlert:
    """`[[alerts]]`."""

    where: str
    model: str
    name: str
    definition: rules.Definition


@dataclass(frozen=True)
class DeclaredTest:
    """`[[ab_tests]]`."""

    where: str
    name: str
    model_a: str
    model_b: str
    definition: tests.Definition
    start: str | datetime | None


@dataclass(frozen=True)
class Declarations:
    """All that a file declares."""

    file: Path
    models: tuple[DeclaredModel, ...]
    alerts: tuple[DeclaredAlert, ...]
    tests: tuple[DeclaredTest, ...]


def read(
    data: Mapping[str, Any],
    file: Path,
    found: Collector,
    *,
    metrics: Mapping[str, Metric],
    parse_target: Callable[[str], str],
) -> Declarations:
    """The declarations in the tables `data` of `file`; what is wrong with them goes into `found`."""
    models, alerts, compared = [], [], []
    for where, key, table in _models(data, file, found):
        with found.at(where):
            models.append(_model(where, key, table))
    for where, table in _listed(data, "alerts", file, found):
        with found.at(where):
            alerts.append(_alert(where, table, metrics, parse_target))
    for where, table in _listed(data, "ab_tests", file, found):
        with found.at(where):
            compared.append(_test(where, table))
    for where in _again((one.where, (one.model, one.name)) for one in alerts):
        found.errors.append(ConfigError(f"{where}: its model has this alert already, further up", DISTINCT))
    for where in _again((one.where, one.name) for one in compared):
        found.errors.append(ConfigError(f"{where}: a test of this name is declared already, further up", DISTINCT))
    return Declarations(file, tuple(models), tuple(alerts), tuple(compared))


def _again(declared: Iterable[tuple[str, Hashable]]) -> Iterator[str]:
    """The places of what is declared a second time."""
    seen = set()
    for where, what in declared:
        if what in seen:
            yield where
        seen.add(what)


def _models(data: Mapping[str, Any], file: Path, found: Collector) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    tables = data.get("models", {})
    with found.at(str(file)):
        if not isinstance(tables, Mapping):
            raise ConfigError("[models] must hold a table a model", '[models."vehicles@3"]')
        for key, table in tables.items():
            where = f'{file}: [models."{key}"]'
            if isinstance(table, Mapping):
                yield where, key, table
            else:
                found.errors.append(ConfigError(f"{where} must be a table", f'[models."{key}"]'))


def _listed(
    data: Mapping[str, Any], name: str, file: Path, found: Collector
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The tables of `[[name]]`, each with its place: file, number from 1, name."""
    tables = data.get(name, [])
    if not isinstance(tables, list):
        found.errors.append(ConfigError(f"{file}: {name} must be a list of tables", f"write [[{name}]]"))
        return
    for number, table in enumerate(tables, start=1):
        where = f"{file}: [[{name}]] {number}"
        if not isinstance(table, Mapping):
            found.errors.append(ConfigError(f"{where} must be a table"))
            continue
        said = table.get("name")
        yield (f'{where} "{said}"' if isinstance(said, str) else where), table


def _model(where: str, model_id: str, table: Mapping[str, Any]) -> DeclaredModel:
    said = {key: _text(table, key) for key in ("name", "version", "uri", "zone") if key in table}
    if "zone" in said:
        times.parse_zone(said["zone"])
    baseline = _text(table, "baseline") if "baseline" in table else None
    if baseline is not None:
        if baseline.strip().startswith("last "):
            raise ConfigError(
                f"baseline = {baseline!r} is another period every day", "write its days: 2026-01-01:2026-01-31"
            )
        times.parse_period(baseline, times.EPOCH)
    engine = None
    if "engine" in table:
        given = table["engine"]
        if not isinstance(given, Mapping):
            raise ConfigError("engine must be a table", f'[models."{model_id}".engine]')
        engine = Said(settings.complete(given, "engine"), settings.dataset(given, "engine"))
        if engine.dataset is None:
            raise ConfigError("engine needs a dataset", 'dataset = "review"')
    return DeclaredModel(where, model_id, said, baseline, engine)


def _alert(
    where: str, table: Mapping[str, Any], metrics: Mapping[str, Metric], parse_target: Callable[[str], str]
) -> DeclaredAlert:
    said, found = _flat(table, "condition"), Collector()
    with found.at():
        name = _take(said, "name")
    with found.at():
        model = _take(said, "model", "model_id")
    with found.at():
        definition = rules.define(said, metrics=metrics, parse_target=parse_target)
    found.check()
    return DeclaredAlert(where, model, name, definition)


def _test(where: str, table: Mapping[str, Any]) -> DeclaredTest:
    said = _flat(table, "config")
    name = _take(said, "name")
    a, b = _take(said, "model_a", "model_a_id"), _take(said, "model_b", "model_b_id")
    start = said.pop("start", None)
    if isinstance(start, str):
        times.parse_instant(start)
    elif start is not None and not isinstance(start, datetime):
        raise ConfigError(f"start = {start!r} is not a time", 'start = "2026-03-02T00:00:00Z"')
    return DeclaredTest(where, name, a, b, tests.define(said), start)


def _flat(table: Mapping[str, Any], inner: str) -> dict[str, Any]:
    """The keys of a declaration, those of its table `inner` among them. Raises ConfigError for one said twice."""
    said = dict(table)
    nested = said.pop(inner, {})
    if not isinstance(nested, Mapping):
        raise ConfigError(f"{inner} must be a table", f"{inner} = {{ … }}")
    twice = sorted(set(said) & set(nested))
    if twice:
        raise ConfigError(f"{', '.join(twice)}: said twice, in {inner} and beside it")
    return said | dict(nested)


def _take(said: dict[str, Any], *keys: str) -> str:
    """The text under the first of `keys` that is there, taken out."""
    for key in keys:
        if key in said:
            return _text({key: said.pop(key)}, key)
    raise ConfigError(f"needs {keys[0]}")


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table[key]
    if not isinstance(value, str) or not value:
        raise UsageError(f"{key} = {value!r} is not a text")
    return value
