"""Makes the store what a file declares: all of it in one transaction, or nothing.

Every declaration goes the way of the verb that makes the same by hand; what it was before and is after is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from detmon import baselines, datasets, models, times
from detmon.ab_tests import definition as tests
from detmon.ab_tests.making import make
from detmon.alerts import rules
from detmon.alerts.edit import Editor
from detmon.baselines import Baseline
from detmon.data_engine import configure, engines
from detmon.declared.reading import DISTINCT, Declarations, DeclaredAlert, DeclaredModel, DeclaredTest
from detmon.declared.records import Applied, Declared
from detmon.errors import Collector, UsageError
from detmon.records import Model
from detmon.store import Connection, Store, statement, transaction
from detmon.times import Period


class _DryRun(Exception):
    """Undoes the transaction of a dry run."""


def apply(
    store: Store, declared: Declarations, editing: Callable[[Connection], Editor], *, prune: bool, dry_run: bool
) -> Applied:
    """Make everything that `declared` holds; with `prune` remove what an earlier one made and this one does not name.

    Raises Mistakes, each with its place in the file, before anything is written.
    """
    with store.writing(create=True) as con:
        work = _Work(con, editing(con), Collector())
        normals = [work.normal(model) for model in declared.models if model.baseline is not None]
        with suppress(_DryRun), transaction(con):
            work.carry_out(declared, [normal for normal in normals if normal is not None])
            work.found.check()
            work.leave(prune=prune)
            if dry_run:
                raise _DryRun
    return work.result(str(declared.file), dry_run=dry_run)


@dataclass(frozen=True)
class _Normal:
    """A baseline that is declared: the present one, and the one that is to take its place."""

    model_id: str
    before: Baseline | None
    after: Baseline


@dataclass
class _Work:
    """One apply. `ids`: what the file declares, by kind."""

    con: Connection
    editor: Editor
    found: Collector
    ids: dict[str, set[str]] = field(default_factory=dict)
    results: dict[str, list[Declared]] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        return self.editor.now

    def result(self, file: str, *, dry_run: bool) -> Applied:
        """What the user gets."""
        names = ("created", "changed", "unchanged", "removed", "waiting", "undeclared", "kept")
        return Applied(file, dry_run, **{name: tuple(self.results.get(name, ())) for name in names})

    def add(self, result: str, one: Declared) -> None:
        """Note what became of a declaration."""
        self.results.setdefault(result, []).append(one)

    def settle(self, id: str, one: Declared, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> None:
        """Compare what was there with what is there now, and remember what was made."""
        self.ids.setdefault(one.kind, set()).add(id)
        if before is None:
            self.con.execute(statement("add_declared"), {"kind": one.kind, "id": id, "now": self.now})
            self.add("created", one)
            return
        changed = {key: (before.get(key), after.get(key)) for key in {**before, **after}}
        changed = {key: (old, new) for key, (old, new) in changed.items() if old != new}
        self.add("changed" if changed else "unchanged", replace(one, difference=changed))

    # --- baselines: their metrics are measured before the transaction, which a failing one would end ---

    def normal(self, model: DeclaredModel) -> _Normal | None:
        """The baseline of a model as it is declared; None (and `waiting`) where the log has nothing of it yet."""
        zone = model.said.get("zone")
        with self.found.at(model.where):
            stored = _stored(self.con, model.id)
            zone = zone or (stored.zone if stored else None)
            span = times.parse_period(model.baseline or "", self.now, times.parse_zone(zone or "UTC"))
            span = replace(span, text=times.format_period(span.start, span.end, times.parse_zone(zone or "UTC")))
            before = baselines.of(self.con, model.id)
            if before is not None and _instants(before.span) == _instants(span):
                return _Normal(model.id, before, before)
            try:
                after = baselines.freeze(self.con, model.id, span, self.editor.catalogue.values(), self.now)
            except UsageError as nothing_logged:
                self.ids.setdefault("baseline", set()).add(model.id)
                self.add("waiting", Declared("baseline", model.id, model.id, reason=nothing_logged.message))
                return None
            return _Normal(model.id, before, after)
        return None

    # --- declarations ---

    def carry_out(self, declared: Declarations, normals: list[_Normal]) -> None:
        """Make all that is declared, models first; what is wrong with one does not hide what is with the next."""
        for model in declared.models:
            with self.found.at(model.where):
                self.model(model)
        for normal in normals:
            self.baseline(normal)
        for model in declared.models:
            if model.engine is not None:
                with self.found.at(model.where):
                    self.engine(model.id, model.engine)
        for alert in declared.alerts:
            with self.found.at(alert.where):
                self.alert(alert)
        for test in declared.tests:
            with self.found.at(test.where):
                self.test(test)

    def model(self, one: DeclaredModel) -> None:
        before = _stored(self.con, one.id)
        named = [model.id for model in models.every(self.con) if model.name == one.id]
        if before is None and named:
            raise UsageError(f"{one.id} is the name of {', '.join(named)}", f'write [models."{named[0]}"]')
        after = models.declare(self.con, one.id, one.said, self.now)
        self.settle(
            one.id,
            Declared("model", one.id, one.id),
            before.to_dict() if before else None,
            after.to_dict(),
        )

    def baseline(self, one: _Normal) -> None:
        if one.after is not one.before:
            baselines.keep(self.con, one.after)
        before = {"period": one.before.period} if one.before else None
        self.settle(
            one.model_id, Declared("baseline", one.model_id, one.model_id), before, {"period": one.after.period}
        )

    def engine(self, model_id: str, said: configure.Said) -> None:
        dataset = next((one.id for one in datasets.every(self.con) if one.name == said.dataset), None)
        present = engines.every(self.con, model_id, dataset) if dataset else []
        made = configure.configure(self.con, model_id, said, None, self.now, retake=False)
        self.settle(
            made.engine_id,
            Declared("engine", made.dataset, model_id),
            _flat(present[0].config) if present else None,
            _flat(made.config),
        )

    def alert(self, one: DeclaredAlert) -> None:
        model = self._model(one.model)
        present = [rule for rule in rules.every(self.con) if (rule.model_id, rule.name) == (model, one.name)]
        if present and present[0].id in self.ids.get("alert", ()):
            raise UsageError(f"{model} has this alert already, further up", DISTINCT)
        made = self.editor.create(model, one.name, one.definition, replace_it=True)
        self.settle(
            made.id,
            Declared("alert", one.name, model),
            present[0].definition.to_dict() if present else None,
            made.definition.to_dict(),
        )

    def test(self, one: DeclaredTest) -> None:
        present = [test for test in tests.every(self.con) if test.name == one.name]
        a, b = self._model(one.model_a), self._model(one.model_b)
        made = make(self.con, one.name, a, b, one.definition, one.start, self.now)
        after = asdict(made.definition)
        self.settle(made.id, Declared("ab_test", one.name), after if present else None, after)

    def _model(self, id_or_name: str) -> str:
        """The id of a model that is stored, or declared in this file."""
        return models.find(self.con, id_or_name).id

    # --- what is no longer declared ---

    def leave(self, *, prune: bool) -> None:
        """Tell what earlier files made and this one does not name, or with `prune` remove it."""
        made: dict[str, list[str]] = {}
        for kind, id in self.con.execute(statement("list_declared")).fetchall():
            if id not in self.ids.get(kind, ()):
                made.setdefault(kind, []).append(id)
        for kind, remove in _REMOVES.items():
            for id in made.get(kind, ()):
                one = remove(self, id, prune)
                if one is not None:
                    self.add("undeclared" if not prune else "kept" if one.reason else "removed", one)
                if prune and (one is None or one.reason is None):
                    self.con.execute(statement("forget_declared"), {"kind": kind, "id": id})


# Each removes what has this id if `really`, and says what that is, or why it stays; None: it is gone already.


def _remove_test(work: _Work, id: str, really: bool) -> Declared | None:
    for test in tests.every(work.con):
        if test.id == id and test.status(work.now) == "running":
            if really:
                tests.stop(work.con, test, work.now)
            return Declared("ab_test", test.name)
    return None


def _remove_alert(work: _Work, id: str, really: bool) -> Declared | None:
    for rule in rules.every(work.con):
        if rule.id == id:
            if really:
                work.editor.delete(rule)
            return Declared("alert", rule.name, rule.model_id)
    return None


def _remove_engine(work: _Work, id: str, really: bool) -> Declared | None:
    for engine in engines.every(work.con):
        if engine.id == id:
            if really:
                engines.remove(work.con, engine, work.now)
            return Declared("engine", engine.dataset, engine.model_id)
    return None


def _remove_baseline(work: _Work, id: str, really: bool) -> Declared | None:
    if baselines.of(work.con, id) is None:
        return None
    if really:
        baselines.remove(work.con, id)
    return Declared("baseline", id, id)


def _remove_model(work: _Work, id: str, really: bool) -> Declared | None:
    if _stored(work.con, id) is None:
        return None
    one = Declared("model", id, id)
    if not really:
        return one
    if work.con.execute(statement("model_in_use"), {"id": id}).fetchone() == (True,):
        return replace(one, reason="it has logged, or an alert, engine, baseline or test is of it")
    work.con.execute(statement("remove_model"), {"id": id})
    return one


_REMOVES: Mapping[str, Callable[[_Work, str, bool], Declared | None]] = {
    "ab_test": _remove_test,
    "alert": _remove_alert,
    "engine": _remove_engine,
    "baseline": _remove_baseline,
    "model": _remove_model,
}
"""How each kind is removed, in this order: a model goes last."""


def _stored(con: Connection, model_id: str) -> Model | None:
    return next((model for model in models.every(con) if model.id == model_id), None)


def _instants(span: Period) -> tuple[datetime, datetime]:
    return span.start, span.end


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """An engine's settings, one level: `low_confidence.threshold`."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            flat[name] = value
    return flat
