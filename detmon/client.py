"""`Client`: a method a verb. The command line and Python users come through the same door."""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from detmon import config as configuration
from detmon import models, times
from detmon.errors import Collector, Interrupted, OperationError, UnknownName, UsageError
from detmon.records import Delivery, Model, NoticeDetails, PluginInfo, QueuedNotice, Settings, TargetTest
from detmon.store import Connection, Store, pruned_before, statement, transaction

if TYPE_CHECKING:  # the rooms are imported by the methods that need them: cron starts this every minute
    from detmon import reviewed
    from detmon.ab_tests.records import ABPlan, ABResults, ABTest, Assignment
    from detmon.alerts.advice import Advice
    from detmon.alerts.backtest import Backtest
    from detmon.alerts.edit import Editor
    from detmon.alerts.policy import Policy
    from detmon.alerts.recompute import RevisedRow
    from detmon.alerts.records import AlertCheck, AlertInstance
    from detmon.alerts.show import AlertDetails, AlertHistoryRow, AlertRow, AlertRule, Status
    from detmon.alerts.silences import Ack, Silence
    from detmon.baselines import Baseline
    from detmon.data_engine.records import DataEngine, EngineRun
    from detmon.datasets.records import Dataset, ExportedVersion, Item, ItemStatus, Version, VersionDetails, VersionDiff
    from detmon.declared.reading import Declarations
    from detmon.declared.records import Applied
    from detmon.demo import Story
    from detmon.doctor import Around, Diagnosis
    from detmon.drift.logs import Reader
    from detmon.drift.records import DriftReport
    from detmon.export import ExportedPredictions
    from detmon.feedback.records import Feedback, Imported, Matched
    from detmon.gate import Evaluated, GateResult, Quality
    from detmon.hookspecs import AnyReader
    from detmon.ingest.records import Ingested, Preview, Quarantined
    from detmon.ingest.sources import Progress
    from detmon.metrics.series import MetricInfo, MetricSeries
    from detmon.plugins import Registry
    from detmon.prometheus import Exported
    from detmon.prune import Pruned
    from detmon.quality.records import QualityReport
    from detmon.quality.truth import Against
    from detmon.review.records import ReviewExported, ReviewImported, ReviewPushed
    from detmon.training.jobs import Job
    from detmon.training.records import TrainingJob, TrainingJobDetails, TrainingLog
    from detmon.training.run import Office


NAMES_OF_MODELS = frozenset(("model", "model_id", "model_a_id", "model_b_id", "base_model_id"))
"""Parameters that name a model: there `mlflow:NAME@ALIAS` stands for the model behind the alias."""
Made = TypeVar("Made")


def _knowing_mlflow(made: type[Made]) -> type[Made]:
    """A class whose public methods take models by their names in MLflow; it is asked before any store is opened."""
    for name, method in list(vars(made).items()):
        if callable(method) and not name.startswith("_"):
            setattr(made, name, _with_ids(method))
    return made


def _with_ids(method: Callable[..., Any]) -> Callable[..., Any]:
    names = method.__code__.co_varnames[: method.__code__.co_argcount]

    @functools.wraps(method)
    def call(*args: Any, **given: Any) -> Any:
        placed = [_id(name, value) for name, value in zip(names, args, strict=False)]
        return method(*placed, **{name: _id(name, value) for name, value in given.items()})

    return call


def _id(name: str, value: Any) -> Any:
    if name not in NAMES_OF_MODELS or not isinstance(value, str) or not value.startswith("mlflow:"):
        return value
    from detmon import mlflow

    return mlflow.resolved(value)


@_knowing_mlflow
class Client:
    """detmon from Python.

    `db` is the store's file, `config` a configuration file, `now` a fixed clock (RFC 3339 text or a datetime; a naive
    one is UTC). All three default as on the command line. `lenient`: mistakes in the files are left to `check_config`.
    A client keeps nothing open between calls.
    """

    def __init__(
        self,
        db: str | Path | None = None,
        config: str | Path | None = None,
        now: str | datetime | None = None,
        *,
        lock_timeout: float | None = None,
        note: Callable[[str], None] | None = None,
        lenient: bool = False,
    ) -> None:
        wait = None if lock_timeout is None else timedelta(seconds=lock_timeout)
        self.config = configuration.load(Path(config) if config else None, db=db, lock_timeout=wait, lenient=lenient)
        self.store = Store(self.config.db, self.config.lock_timeout.total_seconds())
        self._fixed_now = times.parse_instant(now) if isinstance(now, str) else now
        self._note = note or (lambda _: None)

    def now(self) -> datetime:
        """The client's clock: the fixed one, or the system's; naive UTC."""
        return times.naive_utc(self._fixed_now) if self._fixed_now else times.system_now()

    # --- models ---

    def register_model(
        self, name: str, version: str | None = None, uri: str | None = None, zone: str | None = None
    ) -> Model:
        """Register a model as `NAME@VERSION` (`NAME` without a version)."""
        if zone is not None:
            times.parse_zone(zone)
        with self.store.writing(create=True) as con, transaction(con):
            return models.register(con, name, version, uri, zone, self.now())

    def list_models(self) -> list[Model]:
        """All models, by id."""
        with self.store.reading() as con:
            return models.every(con)

    def get_model(self, id_or_name: str) -> Model:
        """One model by its id, or by its name when that fits one model only."""
        id_or_name = _id("model", id_or_name)
        with self.store.reading() as con:
            return models.find(con, id_or_name)

    # --- logs ---

    def ingest(
        self,
        source: str | Path | Sequence[str | Path],
        /,
        *,
        follow: bool = False,
        look: Callable[[Progress], None] | None = None,
        **given: Any,
    ) -> Ingested:
        """Read logs into the store: files, folders, globs, `-` for standard input.

        `given` are the options of docs/ingest.md (`model="vehicles@3"`, `source="cam-1"`, `map={…}`). Files that
        are refused or fail stand in the result, with the reasons in its `errors`.
        """
        from detmon.ingest import run

        return run(
            self.store,
            _names(source),
            given=given,
            tables=self.config.table("ingest"),
            clock=self.now,
            readers=self._readers(),
            follow=follow,
            note=self._note,
            look=look or (lambda _: None),
        )

    def preview_ingest(self, source: str | Path | Sequence[str | Path], /, **given: Any) -> Preview:
        """What `ingest` would do with these logs; nothing is written."""
        from detmon.ingest import preview

        tables = self.config.table("ingest")
        readers = self._readers()
        return preview(self.store, _names(source), given=given, tables=tables, clock=self.now, readers=readers)

    def list_quarantine(self, file: str | None = None, limit: int | None = None) -> list[Quarantined]:
        """The records that were not stored, oldest first."""
        from detmon.ingest.records import Quarantined

        with self.store.reading() as con:
            found = con.execute(statement("list_quarantine"), {"file": file, "limit": limit})
            return [Quarantined(*row) for row in found.fetchall()]

    def ask_sql(self, query: str) -> list[dict[str, Any]]:
        """The rows of a question in SQL: read-only, without access to files or the network."""
        from detmon.store.questions import ask

        with self.store.reading() as con:
            return ask(con, query)

    # --- feedback ---

    def add_feedback(
        self,
        prediction_id: str,
        type: str,
        detection: int | str | None = None,
        label: str | None = None,
        bbox: Sequence[float] | str | None = None,
        reviewer: str | None = None,
        scope: str | None = None,
    ) -> Feedback:
        """Judge a box (`detection`: its place from 0, or its id) or an image; `label` and `bbox` are the true ones."""
        from detmon import feedback

        said = {"detection": detection, "label": label, "bbox": bbox, "reviewer": reviewer, "scope": scope}
        with self.store.writing() as con, transaction(con):
            return feedback.add(con, self.now(), self._note, prediction_id=prediction_id, type=type, **said)  # type: ignore[arg-type]

    def import_feedback(self, source: str | Path) -> Imported:
        """Take a file of verdicts (CSV, JSON Lines, Parquet; `-` for standard input); each row is taken once."""
        from detmon import feedback

        return feedback.import_file(self.store, str(source), self.now)

    def match_feedback(
        self,
        ground_truth: str | Path,
        model_id: str,
        period: str | None = None,
        *,
        min_confidence: float | None = None,
        iou: float | None = None,
        image_id: str | None = None,
        image_size: tuple[int, int] | None = None,
        label: str | None = None,
        source: str | None = None,
        reviewer: str | None = None,
    ) -> Matched:
        """Judge the predictions that have ground truth (COCO, a YOLO folder, MOT, CVAT XML), over all time or a period.

        Boxes below `min_confidence` are not judged. The other options are those of docs/feedback.md.
        """
        from detmon import reviewed
        from detmon.evaluation import Rules
        from detmon.feedback import truth
        from detmon.formats.truth import TruthOptions

        settings = reviewed.settings(self.config)
        overlap = settings.iou if iou is None else iou
        rules = Rules(overlap, settings.background_iou, min_confidence, image_id, image_size)
        options = TruthOptions(image_id, label, source)
        with self.store.reading() as con:
            model = models.find(con, model_id)
        span = times.parse_period(period, self.now(), times.parse_zone(model.zone or "UTC")) if period else times.ALWAYS
        now = self.now()
        return truth.match(
            self.store, model.id, ground_truth, span, now, rules=rules, options=options, reviewer=reviewer
        )

    def list_feedback(
        self,
        model_id: str | None = None,
        prediction_id: str | None = None,
        type: str | None = None,
        *,
        waiting: bool = False,
        limit: int | None = None,
    ) -> list[Feedback]:
        """Verdicts, newest first, those that no longer count among them; `waiting`: only those without a prediction."""
        from detmon import feedback

        with self.store.reading() as con:
            model = models.find(con, model_id).id if model_id else None
            wanted = {"model": model, "prediction": prediction_id, "type": type, "waiting": waiting or None}
            return feedback.listed(con, **wanted, limit=limit)  # type: ignore[arg-type]

    # --- review ---

    def export_review(
        self,
        dataset_id: str,
        format: str,
        out: str | Path,
        *,
        status: str = "needs_review",
        limit: int | None = None,
        min_confidence: float | None = None,
        image_root: str | None = None,
        url_prefix: str | None = None,
        embed: bool = False,
        copy_images: str | Path | None = None,
    ) -> ReviewExported:
        """Write the items of a dataset as `format` (label-studio, cvat, coco, csv, html) into the file `out`.

        Boxes below `min_confidence` are not shown and not judged; `image_root` and `url_prefix` say where the images
        are (docs/review.md); with `embed` the page (html) holds them, `copy_images` is a folder for those of cvat.
        """
        from detmon.review import out as review

        wanted = review.wanted(dataset_id, status, limit, min_confidence, image_root, url_prefix)
        folder = Path(copy_images).expanduser() if copy_images else None
        return review.export(self.store, wanted, format, Path(out).expanduser(), embed=embed, copy_images=folder)

    def import_review(
        self, source: str | Path, *, boxes_only: bool = False, reviewer: str | None = None
    ) -> ReviewImported:
        """Take a reviewed file back; each review is taken once, a newer version of it replaces the older one.

        `boxes_only`: the boxes were judged, and nothing is said of missed objects. `reviewer` names who reviewed where
        the file does not.
        """
        from detmon import reviewed
        from detmon.review import back

        return back.import_file(
            self.store,
            str(source),
            back.Options(boxes_only, reviewer, reviewed.settings(self.config).review_iou),
            self.now(),
        )

    def push_review(
        self,
        dataset_id: str,
        project: str | int,
        url: str | None = None,
        *,
        status: str = "needs_review",
        limit: int | None = None,
        min_confidence: float | None = None,
        image_root: str | None = None,
        url_prefix: str | None = None,
    ) -> ReviewPushed:
        """Send items to a project of Label Studio (its number, or its title: made if it is new), each once.

        The server is `url` or LABEL_STUDIO_URL, the token LABEL_STUDIO_API_KEY; the rest as in `export_review`.
        """
        from detmon.review import exchange, out

        wanted = out.wanted(dataset_id, status, limit, min_confidence, image_root, url_prefix)
        return exchange.push(self.store, wanted, url, str(project), self._note)

    def pull_review(
        self, project: str | int, url: str | None = None, *, boxes_only: bool = False, reviewer: str | None = None
    ) -> ReviewImported:
        """Take what was annotated in a project of Label Studio, as `import_review` takes its export."""
        from detmon import reviewed
        from detmon.review import back, exchange

        return exchange.pull(
            self.store,
            url,
            str(project),
            back.Options(boxes_only, reviewer, reviewed.settings(self.config).review_iou),
            self.now(),
        )

    # --- configuration ---

    def apply(self, file: str | Path | None = None, *, prune: bool = False, dry_run: bool = False) -> Applied:
        """Make models, baselines, engines, alerts and A/B tests what `file` declares (default: the file in force).

        All of it, or nothing. `prune` removes what an earlier apply made and the file no longer declares; `dry_run`
        only says what would be done.
        """
        from tempfile import TemporaryDirectory

        from detmon.declared.apply import apply

        if file is None and not self.config.files:
            raise UsageError("no ./detmon.toml here", "detmon apply FILE; `detmon init` writes one")
        path = Path(file) if file is not None else self.config.files[-1]
        mistakes = Collector()
        declared = self._declarations(configuration.read_file(path), path, mistakes)
        mistakes.check()
        with TemporaryDirectory() as scratch:
            store = Store(Path(scratch) / "empty.duckdb") if dry_run and not self.store.path.exists() else self.store
            done = apply(store, declared, self._editor, prune=prune, dry_run=dry_run)
        self._note_missing(target for alert in declared.alerts for target in alert.definition.notify)
        return done

    def _declarations(self, data: Mapping[str, Any], file: Path, mistakes: Collector) -> Declarations:
        from detmon.declared import reading
        from detmon.metrics import catalogue

        return reading.read(data, file, mistakes, metrics=catalogue(self.config), parse_target=self._target)

    def show_config(self) -> Settings:
        """The settings in force, with secrets masked."""
        shown = configuration.masked(self.config.data)
        files = tuple(str(file) for file in self.config.files)
        return Settings(str(self.config.db), self.config.lock_timeout, files, shown)

    def check_config(self) -> list[str]:
        """What the settings still lack on this machine; raises Mistakes for all that is wrong.

        A client that is made `lenient` sees unknown keys here, too, and not only the files in which they are.
        """
        from detmon.declared.check import check

        return check(self.config, self._target)

    def show_config_schema(self) -> dict[str, Any]:
        """The JSON Schema (draft 2020-12) of configuration files."""
        from detmon.declared.schema import schema

        return schema()

    def init_config(self, folder: str | Path = ".") -> Path:
        """Write a commented `detmon.toml` into `folder`."""
        return configuration.write_template(Path(folder))

    # --- notices ---

    def use_env_file(self, path: str | Path | None) -> None:
        """Put the `KEY=VALUE` lines of a file that only its owner may read into the environment."""
        if path is not None:
            from detmon.notify.secrets import read_env_file

            os.environ.update(read_env_file(Path(path)))

    def test_target(
        self, target: str, kind: str = "firing", *, dry_run: bool = False, console: TextIO | None = None
    ) -> TargetTest:
        """Send a message headed TEST to a target; a dry run shows it instead."""
        from detmon.notify import manage

        return manage.try_out(self.config, target, kind, self.now(), console or sys.stdout, dry_run=dry_run)

    def send_notices(self, console: TextIO | None = None) -> Delivery:
        """Send the notices that are due; `stdout:` targets write to `console`."""
        from detmon.notify import deliver

        return deliver(self.store, self.config, now=self.now(), console=console or sys.stdout)

    def list_notices(
        self, status: str | None = None, limit: int = 100, *, refreshes: bool = False
    ) -> list[QueuedNotice]:
        """The newest notices, with one status or with any.

        `refreshes`: also those delivered that only said again, to Alertmanager, what is open.
        """
        from detmon.notify import manage

        with self.store.reading() as con:
            return manage.listed(con, status, limit, refreshes=refreshes)

    def show_notice(self, notice_id: str) -> NoticeDetails:
        """One notice, and its message as it would read now."""
        from detmon.notify import manage

        with self.store.reading() as con:
            return manage.show(con, self.config, notice_id, self.now())

    def retry_notices(self, notice_ids: Sequence[str] = (), *, dead: bool = False) -> list[QueuedNotice]:
        """Make dead or waiting notices due at once."""
        from detmon.notify import manage

        with self.store.writing() as con, transaction(con):
            return manage.retry(con, notice_ids, dead, self.now())

    def drop_notices(self, notice_ids: Sequence[str] = (), *, dead: bool = False) -> list[QueuedNotice]:
        """Give dead or waiting notices up."""
        from detmon.notify import manage

        with self.store.writing() as con, transaction(con):
            return manage.drop(con, notice_ids, dead, self.now())

    def list_plugins(self) -> list[PluginInfo]:
        """The installed plugins, also those that did not load; what is wrong with any of them is noted."""
        from detmon.notify import manage

        found, problems = manage.installed(self.config)
        for problem in problems:
            self._note(problem)
        return found

    # --- metrics ---

    def list_metrics(self) -> list[MetricInfo]:
        """All metrics that rules, `show_metric` and gates can use."""
        from detmon.metrics import catalogue, series

        return [series.info(metric) for metric in catalogue(self.config).values()]

    def show_metric(
        self,
        metric: str,
        model_id: str,
        *,
        window: str | None = None,
        period: str | None = None,
        every: str | None = None,
        by: Sequence[str] = (),
        where: Mapping[str, str] | None = None,
    ) -> MetricSeries:
        """A metric of one model over the last `window` (default 1h) or a `period`, in steps of `every`."""
        from detmon import metrics
        from detmon.metrics import series

        if window is not None and period is not None:
            raise UsageError("give --window or --period, not both")
        found = metrics.find(metrics.catalogue(self.config), metric)
        with self.store.reading() as con:
            model = models.find(con, model_id)
            now = self.now()
            span = times.Period(now - times.parse_duration(window or "1h"), now, "")
            if period is not None:
                span = times.parse_period(period, now, times.parse_zone(model.zone or "UTC"))
            step = times.parse_duration(every) if every else span.end - span.start
            selection = metrics.Selection(model.id, tuple(by), tuple(sorted((where or {}).items())))
            shown = series.series(con, found, selection, span, step)
            if not shown.points:  # no label set is known
                self._note_pruned(con, model.id, span)
            return shown

    # --- alerts ---

    def create_alert(
        self,
        model_id: str,
        name: str,
        condition: Mapping[str, Any] | None = None,
        notify: Sequence[str] | None = None,
        *,
        replace: bool = False,
        **fields: Any,
    ) -> AlertRule:
        """Make a rule; `condition` and `fields` hold the keys of docs/alerts.md. The same again is the same rule."""
        from detmon import metrics
        from detmon.alerts import rules, show

        said = {key.rstrip("_"): value for key, value in {**(condition or {}), **fields}.items()}
        if notify is not None:
            said["notify"] = notify
        definition = rules.define(said, metrics=metrics.catalogue(self.config), parse_target=self._target)
        with self._editing() as editor:
            model = models.find(editor.con, model_id)
            rule = editor.create(model.id, name, definition, replace_it=replace)
        self._note_missing(definition.notify)
        return show.record(rule)

    def list_alerts(self, model_id: str | None = None) -> list[AlertRow]:
        """The state of every rule, one row an instance."""
        from detmon.alerts import rules, show

        with self.store.reading() as con:
            model = models.find(con, model_id).id if model_id else None
            return show.rows(con, [rule for rule in rules.every(con) if model in (None, rule.model_id)])

    def show_alert(self, id_or_name: str, model_id: str | None = None) -> AlertDetails:
        """One rule with every default filled in, and the state of its instances."""
        from detmon.alerts import rules, show

        with self.store.reading() as con:
            return show.details(con, rules.pick(rules.every(con), id_or_name, model_id))

    def alert_history(self, id_or_name: str, model_id: str | None = None) -> list[AlertHistoryRow]:
        """What happened to a rule: events, skipped slots, notices. A removed rule is found by its id."""
        from detmon.alerts import rules, show

        with self.store.reading() as con:
            removed = any(rule.id == id_or_name for rule in rules.every(con, deleted=True))
            return show.history(con, rules.pick(rules.every(con, deleted=removed), id_or_name, model_id))

    def backtest_alert(
        self,
        id_or_name: str | None = None,
        model_id: str | None = None,
        condition: Mapping[str, Any] | None = None,
        *,
        period: str | None = None,
        **fields: Any,
    ) -> Backtest:
        """What a rule would have done over a `period` (default: the last 28 days of its model's data).

        The rule is a stored one, one that `condition` and `fields` define as in `create_alert`, or a stored one with
        those fields changed. Nothing is written.
        """
        from detmon.alerts import advice, backtest, rules
        from detmon.metrics import catalogue

        said = {key.rstrip("_"): value for key, value in {**(condition or {}), **fields}.items()}
        known, now = catalogue(self.config), self.now()
        with self.store.reading() as con:
            if id_or_name is not None:
                rule = rules.pick(rules.every(con), id_or_name, model_id)
                rule = rules.altered(rule, said, metrics=known) if said else rule
            elif model_id is None:
                raise UsageError("name an alert, or give --model and the options of `detmon alert create`")
            else:
                rule = rules.draft(models.find(con, model_id).id, rules.define(said, metrics=known), now)
            zone = times.parse_zone(models.find(con, rule.model_id).zone or "UTC")
            span = times.parse_period(period, now, zone) if period else None
            found, trace = backtest.backtest(con, known, rule, backtest.slots_of(con, rule, now, span))
            return advice.completed(found, rule, known, trace)

    def advise_alert(self, id_or_name: str, model_id: str | None = None) -> Advice | None:
        """How often a stored rule would have fired lately, in a sentence; None where there is nothing to tell from."""
        from detmon.alerts import advice, rules
        from detmon.metrics import catalogue

        with self.store.reading() as con:
            rule = rules.pick(rules.every(con), id_or_name, model_id)
        return advice.advise(self.store, catalogue(self.config), rule, self.now())

    def recompute_alert(self, id_or_name: str, model_id: str | None = None) -> list[RevisedRow]:
        """What happened to a rule since its last edit, beside what its slots would find today; nothing is written."""
        from detmon.alerts import recompute, rules
        from detmon.metrics import catalogue

        with self.store.reading() as con:
            rule = rules.pick(rules.every(con), id_or_name, model_id)
            return recompute.recompute(con, catalogue(self.config), rule)

    def enable_alert(self, id_or_name: str, model_id: str | None = None) -> AlertRule:
        """Go on with a paused rule; the slots of the pause are not made up."""
        from detmon.alerts import show

        with self._editing() as editor:
            return show.record(editor.enable(editor.pick(id_or_name, model_id)))

    def disable_alert(self, id_or_name: str, model_id: str | None = None) -> AlertRule:
        """Pause a rule; what is open is closed, and told so."""
        from detmon.alerts import show

        with self._editing() as editor:
            return show.record(editor.disable(editor.pick(id_or_name, model_id)))

    def delete_alert(self, id_or_name: str, model_id: str | None = None) -> AlertRule:
        """Remove a rule; what is open is closed, and told so. Its history stays."""
        from detmon.alerts import show

        with self._editing() as editor:
            return show.record(editor.delete(editor.pick(id_or_name, model_id)))

    def add_silence(
        self,
        matchers: Sequence[str],
        for_: str | None = None,
        start: str | datetime | None = None,
        end: str | datetime | None = None,
        comment: str | None = None,
        author: str | None = None,
    ) -> Silence:
        """Do not tell of alerts that match all of `matchers`, `for_` so long or until `end`, from `start` (now) on.

        They are evaluated all the same, and what is over is told to those who know of it. `author` is the user of the
        operating system, unless named.
        """
        from detmon.alerts import rules, silences

        now = self.now()
        span = silences.span(now, _instant(start), _instant(end), for_)
        with self.store.writing() as con, transaction(con):
            made = silences.add(con, matchers, span, author=author or _user(), comment=comment, now=now)
            remarks = silences.remarks(con, made, [rule for rule in rules.every(con) if rule.enabled])
        for remark in remarks:
            self._note(remark)
        return made

    def list_silences(self) -> list[Silence]:
        """All silences: the active ones, then the pending, then the expired."""
        from detmon.alerts import silences

        with self.store.reading() as con:
            return silences.every(con, self.now())

    def expire_silence(self, silence_id: str) -> Silence:
        """End a silence now, or before it begins; the next check tells what still fires."""
        from detmon.alerts import silences

        with self.store.writing() as con, transaction(con):
            return silences.expire(con, silence_id, self.now())

    def ack_alert(
        self,
        id_or_name: str,
        labels: Mapping[str, str] | None = None,
        model_id: str | None = None,
        *,
        comment: str | None = None,
        author: str | None = None,
    ) -> list[Ack]:
        """Say that somebody knows of what fires: no more reminders until these episodes are over."""
        with self._editing() as editor:
            rule = editor.pick(id_or_name, model_id)
            return editor.acknowledge(rule, labels or {}, author=author or _user(), comment=comment)

    def forget_alert(
        self, id_or_name: str, labels: Mapping[str, str], model_id: str | None = None
    ) -> list[AlertInstance]:
        """Drop the instances with these labels (a camera that is gone); what is open is closed, and told so."""
        from detmon.alerts.instances import instance_record

        with self._editing() as editor:
            rule = editor.pick(id_or_name, model_id)
            return [instance_record(rule, instance) for instance in editor.forget(rule, labels)]

    def check_alerts(
        self,
        names: Sequence[str] = (),
        model_id: str | None = None,
        *,
        dry_run: bool = False,
        send: bool = True,
        console: TextIO | None = None,
    ) -> AlertCheck:
        """Evaluate every rule that is due, record what happened, queue what is to be told, and deliver it.

        Raises Interrupted, with what was found, when a signal ends the delivery.
        """
        from detmon.alerts import check
        from detmon.metrics import catalogue

        now = self.now()
        if model_id is not None:  # a misspelt one must not mean "no rules", run after run
            model_id = self.get_model(model_id).id
        found, outbox_empty = check.check(
            self.store,
            catalogue(self.config),
            self._policy(),
            now,
            check.Scope(names, model_id),
            dry_run=dry_run,
        )
        if dry_run or not send or outbox_empty:
            return found
        from detmon.notify import deliver

        try:
            delivery = deliver(self.store, self.config, now=now, console=console or sys.stdout)
        except OperationError as error:  # what was decided is committed, and is reported
            delivery = Delivery(problems=(f"{error.message} ({error.hint})",), locked=True)
        except KeyboardInterrupt:
            stopped = Delivery(problems=("the delivery was stopped: what is not sent waits for the next run",))
            raise Interrupted(dataclasses.replace(found, delivery=stopped)) from None
        return dataclasses.replace(found, delivery=delivery)

    def send_heartbeat(self, url: str | None, path: str = "") -> None:
        """GET a watchdog's `url` + `path`, where there is one; a failure is only noted."""
        if url:
            from detmon.alerts.heartbeat import beat

            if problem := beat(url, path):
                self._note(problem)

    def status(self, max_age: str | None = None) -> Status:
        """What is in the store, what fires, what waits; a check older than `max_age` is stale."""
        from detmon.alerts import show

        oldest = times.parse_duration(max_age) if max_age else None
        with self.store.reading() as con:
            return show.status(con, str(self.config.db), self.now(), oldest)

    @contextmanager
    def _editing(self) -> Iterator[Editor]:
        with self.store.writing() as con, transaction(con):
            yield self._editor(con)

    def _editor(self, con: Connection) -> Editor:
        from detmon.alerts.edit import Editor
        from detmon.metrics import catalogue

        return Editor(con, catalogue(self.config), self._policy(), self.now())

    def _note_missing(self, targets: Iterable[str]) -> None:
        """Note what this machine lacks to serve the targets."""
        from detmon.notify import check_target

        for target in dict.fromkeys(targets):
            for problem in check_target(self.config, target):
                self._note(str(problem))

    def _target(self, text: str) -> str:
        """A target as its plugin writes it; raises UsageError for one that it refuses."""
        from detmon.notify import parse_target

        return str(parse_target(self.config, text))

    def _readers(self) -> Mapping[str, Sequence[AnyReader]]:
        """The log formats of all plugins; those that two plugins bring are noted, and read by neither."""
        registry = self._plugins()
        for (kind, name), problem in registry.contested.items():
            if kind == "formats":
                self._note(f'{problem}; [plugins] prefer = {{ "{name}" = "ITS-NAME" }} chooses one')
        return registry.formats

    def _plugins(self) -> Registry:
        from detmon.plugins import load

        return load(self.config.table("plugins"))

    def _policy(self) -> Policy:
        """What the configuration says of telling."""
        from detmon.alerts import policy
        from detmon.alerts.targets import Targets
        from detmon.notify import capabilities
        from detmon.notify.settings import default_targets

        targets = Targets(default_targets(self.config), lambda target: capabilities(self.config, target))
        return policy.read(self.config, targets)

    def export_predictions(
        self, out: str | Path, model_id: str | None = None, period: str | None = None
    ) -> ExportedPredictions:
        """Write the log (of one model, of a period) as Parquet into a new folder; `ingest` takes it back."""
        from detmon.export import export

        zone = "UTC"
        if model_id is not None:
            model = self.get_model(model_id)
            model_id, zone = model.id, model.zone or zone
        span = times.parse_period(period, self.now(), times.parse_zone(zone)) if period else times.ALWAYS
        done = export(self.store, Path(out), span, model_id)
        if done.unknown:
            self._note(
                f"{done.unknown:,} predictions are of logs without images that have no detections; a store that takes "
                "them from Parquet does not know that"
            )
        return done

    def export_prometheus(self, out: str | Path | None = None, window: str = "1h") -> Exported:
        """Metrics over the last `window`, alerts and counters in the text format of Prometheus, in `out` if given."""
        from detmon import prometheus
        from detmon.metrics import catalogue

        now, length = self.now(), times.parse_duration(window)
        if length <= timedelta():
            raise UsageError("window must be longer than nothing")
        with self.store.reading() as con:
            found, problems = prometheus.export(con, catalogue(self.config), (now - length, now))
        for problem in problems:
            self._note(problem)
        if out is None:
            return found
        prometheus.write(found.text, Path(out))
        return dataclasses.replace(found, out=str(out))

    # --- data engine ---

    def create_dataset(self, name: str) -> Dataset:
        """Make a dataset; the same name again is the same dataset."""
        from detmon import datasets

        with self.store.writing(create=True) as con, transaction(con):
            return datasets.create(con, name, self.now())

    def list_datasets(self) -> list[Dataset]:
        """All datasets, by name, with how many items wait, are reviewed, are ignored."""
        from detmon import datasets

        with self.store.reading() as con:
            return datasets.every(con)

    def create_dataset_version(
        self,
        dataset_id: str,
        parent_version_id: str | None = None,
        name: str = "",
        *,
        from_: str | Path | Sequence[str | Path] | None = None,
        image_root: str | Path | None = None,
        val: float | None = None,
        salt: str | None = None,
    ) -> VersionDetails:
        """Freeze what is reviewed now, and what the parent holds: images with their corrected labels.

        `from_` gives the labels instead: COCO files (pictures below `image_root`, or around them) or YOLO folders.
        `val` is the share of images for validation, divided by `salt`; a parent's hold for its children.
        """
        from detmon import datasets
        from detmon.datasets import given, versions

        with self.store.reading() as con:
            dataset = datasets.find(con, dataset_id)
            parent = versions.find(con, parent_version_id, dataset) if parent_version_id else None
        plan = versions.Plan(dataset, name, parent, val, salt)
        labels = given.read(_names(from_), Path(image_root) if image_root else None) if from_ else None
        return versions.create(self.store, plan, labels, self.now())

    def list_versions(self, dataset_id: str | None = None) -> list[Version]:
        """All versions (of one dataset), oldest first."""
        from detmon import datasets
        from detmon.datasets import versions

        with self.store.reading() as con:
            return versions.every(con, datasets.find(con, dataset_id) if dataset_id else None)

    def show_version(self, version_id: str) -> VersionDetails:
        """One version, by its id or a name that fits only one, with its lineage and classes."""
        from detmon.datasets import versions

        with self.store.reading() as con:
            return versions.details(con, versions.find(con, version_id))

    def export_version(
        self,
        version_id: str,
        format: str,
        out: str | Path,
        *,
        image_root: str | Path | None = None,
        link: bool = False,
        images: bool = True,
    ) -> ExportedVersion:
        """Write a version into a new folder, as `coco` or `yolo`.

        Pictures are copied from below `image_root` or from their addresses (paths, `s3://`, `gs://`, `https://`);
        `link`: local ones are linked to; `images=False`: labels only. Those that cannot be read are left out.
        """
        from detmon.datasets import versions
        from detmon.datasets.export import Order, export

        root = Path(image_root) if image_root else None
        order = Order(format, Path(out), "none" if not images else "link" if link else "copy", root)
        with self.store.reading() as con:
            found = versions.find(con, version_id)
        return export(self.store, found, order)

    def diff_versions(self, a: str, b: str) -> VersionDiff:
        """What differs from version `a` to version `b`: images added, removed, labelled otherwise; classes."""
        from detmon.datasets import versions

        with self.store.reading() as con:
            return versions.diff(con, versions.find(con, a), versions.find(con, b))

    def configure_data_engine(
        self,
        model_id: str,
        config: Mapping[str, Any] | None = None,
        target_dataset_id: str | None = None,
        *,
        file: str | Path | None = None,
        retake: bool = False,
    ) -> DataEngine:
        """Say what is to be flagged in a model's predictions, and for which dataset (docs/engine.md).

        Without `config` or `file` the table `[models.NAME.engine]` of the configuration says it; the dataset that it
        names is made if it is missing. The same configuration again changes nothing. `retake`: take usual box sizes
        and classes from the log anew.
        """
        from detmon.data_engine import configure

        with self.store.writing() as con, transaction(con):
            model = models.find(con, model_id)
            said = configure.said(self.config, model.id, config, Path(file) if file else None)
            return configure.configure(con, model.id, said, target_dataset_id, self.now(), retake=retake)

    def run_data_engine(self, model_id: str | None = None, period: str | None = None) -> EngineRun:
        """Scan what no run has scanned yet, and flag what is selected; with `period` scan that again."""
        from detmon.data_engine import engines
        from detmon.data_engine.run import run

        now = self.now()
        with self.store.reading() as con:
            wanted = models.find(con, model_id).id if model_id else None
            known = models.every(con) if period else ()
            periods = {
                model.id: times.parse_period(period or "", now, times.parse_zone(model.zone or "UTC"))
                for model in known
            }
            for scanned in {engine.model_id for engine in engines.every(con, wanted)} & set(periods):
                self._note_pruned(con, scanned, periods[scanned])
        return run(self.store, wanted, periods or None, now)

    def show_engines(self, model_id: str | None = None, dataset_id: str | None = None) -> list[DataEngine]:
        """The engines (of one model or dataset), with what they took from the log and what they have scanned."""
        from detmon import datasets
        from detmon.data_engine import engines

        with self.store.reading() as con:
            model = models.find(con, model_id).id if model_id else None
            dataset = datasets.find(con, dataset_id) if dataset_id else None
            return [engines.record(con, engine) for engine in engines.every(con, model, dataset)]

    def get_flagged_items(self, dataset_id: str, status: str | None = "needs_review", limit: int = 100) -> list[Item]:
        """Items of a dataset with one status (None: any), in an order that is random but fixed."""
        from detmon import datasets

        with self.store.reading() as con:
            return datasets.items(con, datasets.find(con, dataset_id), status, limit)

    def set_item(self, item_id: str, status: str) -> ItemStatus:
        """Give an item the status `needs_review`, `reviewed` or `ignored`."""
        from detmon import datasets

        with self.store.writing() as con, transaction(con):
            return datasets.set_status(con, item_id, status, self.now())

    def add_items(self, dataset_id: str, prediction_ids: Sequence[str]) -> list[ItemStatus]:
        """Add predictions to a dataset by hand: without an inclusion probability they never enter an estimate."""
        from detmon import datasets

        with self.store.writing() as con, transaction(con):
            return datasets.add_by_hand(con, datasets.find(con, dataset_id), prediction_ids, self.now())

    # --- quality ---

    def show_quality(
        self,
        model_id: str | None = None,
        period: str | None = None,
        *,
        by: str | None = None,
        dataset: str | None = None,
        assume_random: bool | None = None,
        ground_truth: str | Path | None = None,
        version: str | None = None,
        log: str | Path | Sequence[str | Path] | None = None,
        split: str | None = None,
        missing_are_empty: bool = False,
        min_confidence: float | None = None,
        image_id: str | None = None,
        image_size: tuple[int, int] | None = None,
        label: str | None = None,
        source: str | None = None,
        **given: Any,
    ) -> QualityReport:
        """Precision, recall and error kinds of a model from its reviews, over `period` (default: all that is stored).

        `by` is label or source; `dataset` chooses among several engines; `assume_random` states that the reviewed
        images are a simple random sample. With `ground_truth` (COCO, a YOLO folder, MOT, CVAT XML) the report also has
        the figures against it, those of what was served from `min_confidence` on (default: the lowest confidence that
        reviewers judged); the other options are those of `match_feedback`. With `version` the figures are against the
        labels of a dataset version (of one `split`); images without a prediction refuse them, unless
        `missing_are_empty`. With `log` the predictions are those of a log that is not stored; `given` are then the
        options of `ingest`.
        """
        from detmon import reviewed
        from detmon.quality import show

        if by not in (None, "label", "source"):
            raise UnknownName("split", str(by), ["label", "source"])
        settings = reviewed.settings(self.config)
        if assume_random is not None:
            settings = dataclasses.replace(settings, assume_random=assume_random)
        reading = {"image_id": image_id, "image_size": image_size, "label": label, "source": source}
        against: Against | None
        if version is not None:
            if ground_truth is not None:
                raise UsageError("ground truth is a file or a version, not both", "--ground-truth FILE or --version V")
            against = self._against_version(version, split, settings, min_confidence, image_id, missing_are_empty)
        else:
            against = self._against_file(ground_truth, settings, min_confidence, reading)
            if log is not None or split is not None or missing_are_empty:
                raise UsageError("which labels?", "--version V names a dataset version")
        if log is not None:
            if period is not None:
                raise UsageError("periods are those of the store: a log is taken as a whole")
            return self._quality_of_log(_names(log), model_id, against, settings, {**reading, **given})
        if given:
            raise UsageError(f"{', '.join(given)}: options of reading logs go with --log")
        with self.store.reading() as con:
            model = models.chosen(con, model_id)
            zone = times.parse_zone(model.zone or "UTC")
            span = times.parse_period(period, self.now(), zone) if period else times.ALWAYS
            span = self._with_rows(con, model.id, span)
            report = show.show(con, model.id, span, settings, zone=zone, dataset=dataset, by_source=by == "source")
            return against.added_to(report, con, span) if against else report

    def _against_file(
        self, path: str | Path | None, settings: reviewed.Settings, threshold: float | None, reading: Mapping[str, Any]
    ) -> Against | None:
        from detmon.quality.truth import Against

        if path is not None:
            return Against(Path(path), settings, threshold, **reading)
        if threshold is not None or any(value is not None for value in reading.values()):
            raise UsageError("these options say how ground truth is read", "--ground-truth FILE names it")
        return None

    def _against_version(
        self,
        version: str,
        split: str | None,
        settings: reviewed.Settings,
        threshold: float | None,
        image_id: str | None,
        unseen_are_empty: bool,
    ) -> Against:
        from detmon.quality import version as labels
        from detmon.quality.truth import Against

        with self.store.reading() as con:
            found = labels.read(con, version, split)
        return Against(found, settings, threshold, image_id, unseen_are_empty=unseen_are_empty)

    def _quality_of_log(
        self,
        named: Sequence[str],
        wanted: str | None,
        against: Against | None,
        settings: reviewed.Settings,
        given: Mapping[str, Any],
    ) -> QualityReport:
        """The figures of a log that is not stored; what is stored for it is gone afterwards."""
        from tempfile import TemporaryDirectory

        from detmon.quality import show

        registered = self._as_registered(wanted)
        with TemporaryDirectory(prefix="detmon-") as folder:
            store = Store(Path(folder) / "log.duckdb")
            rejected = self._reader({"model": registered, **given}).store(store, named)
            if rejected:
                self._note(f"{rejected:,} records of {', '.join(named)} could not be used")
            if not store.path.exists():
                raise UsageError(f"no predictions in {', '.join(named)}")
            with store.reading() as con:
                model = models.of_log(con, wanted, registered, ", ".join(named))
                report = show.show(con, model.id, times.ALWAYS, settings)
                return against.added_to(report, con, times.ALWAYS) if against else report

    def _as_registered(self, id_or_name: str | None) -> str | None:
        """The id of a model, where the store knows it; else what was given."""
        if id_or_name is None:
            return None
        with self.store.reading() as con:
            try:
                return models.find(con, id_or_name).id
            except UnknownName:
                return id_or_name

    def _with_rows(self, con: Connection, model_id: str, span: times.Period) -> times.Period:
        """The part of a period whose rows are stored; that some are gone is noted. Raises UsageError if all are."""
        before = pruned_before(con, model_id)
        if before is None or span.start >= before:
            return span
        if span.end <= before:
            raise UsageError(_pruned(model_id, before), "a later period, or docs/operations.md")
        self._note(f"{_pruned(model_id, before)}: the period begins there")
        return dataclasses.replace(span, start=before)

    def _note_pruned(self, con: Connection, model_id: str, span: times.Period) -> None:
        """Note that some rows of a period are gone."""
        before = pruned_before(con, model_id)
        if before is not None and span.start < before:
            self._note(_pruned(model_id, before))

    # --- drift ---

    def check_drift(
        self,
        model_id: str | None = None,
        reference_period: str | None = None,
        current_period: str | None = None,
        *,
        by: str | None = None,
        block: str = "auto",
        reference_log: str | Path | Sequence[str | Path] | None = None,
        current_log: str | Path | Sequence[str | Path] | None = None,
        **given: Any,
    ) -> DriftReport:
        """Whether the current period differs from the reference more than the model's own days do.

        The periods default to the last 7 days and the baseline, or the 28 days before. With `reference_log` and
        `current_log` two logs are compared that are in no store; `given` are then the options of `ingest`.
        """
        from detmon import baselines, drift
        from detmon.drift import periods, settings
        from detmon.drift.logs import check_logs

        asked = settings.Asked(
            settings.parse_block(block), settings.constants(self.config), self.now(), settings.by_source(by)
        )
        if reference_log is not None or current_log is not None:
            if reference_log is None or current_log is None:
                raise UsageError("give --reference-log and --current-log, both")
            if reference_period is not None or current_period is not None:
                raise UsageError("periods are those of the store: with two logs there are none")
            read, zone = self._reader({"model": model_id, **given}), times.parse_zone(given.get("tz") or "UTC")
            return check_logs(_names(reference_log), _names(current_log), read, zone, asked)
        if given:
            raise UsageError(f"{', '.join(given)}: options of reading logs go with --reference-log and --current-log")
        with self.store.reading() as con:
            model = models.chosen(con, model_id)
            zone, normal = times.parse_zone(model.zone or "UTC"), baselines.of(con, model.id)
            baseline = normal.span if normal else None
            span = periods.resolve(reference_period, current_period, baseline, asked.now, zone)
            return drift.check_store(con, model.id, zone, span, asked)

    def set_baseline(self, model_id: str, period: str) -> Baseline:
        """Make `period` the normal of a model, with its metrics' values now; it replaces an earlier one."""
        from detmon import baselines
        from detmon.metrics import catalogue

        with self.store.reading() as con:
            model = models.find(con, model_id)
            zone = times.parse_zone(model.zone or "UTC")
            span = times.parse_period(period, self.now(), zone)
            span = dataclasses.replace(span, text=times.format_period(span.start, span.end, zone))
            baseline = baselines.freeze(con, model.id, span, catalogue(self.config).values(), self.now())
        with self.store.writing() as con, transaction(con):
            baselines.keep(con, baseline)
        return baseline

    def show_baselines(self, model_id: str | None = None) -> list[Baseline]:
        """The normal of one model, or of all that have one."""
        from detmon import baselines

        with self.store.reading() as con:
            return baselines.listed(con, models.find(con, model_id).id if model_id else None)

    def _reader(self, given: Mapping[str, Any]) -> Reader:
        """Reads logs that are not for the client's store."""
        from detmon.drift.logs import Reader
        from detmon.formats import Options
        from detmon.formats.hive import by_folders
        from detmon.ingest import run
        from detmon.ingest.sources import resolve, settings

        tables = self.config.table("ingest")

        def files(named: Sequence[str]) -> list[Path] | None:
            found = resolve(named)
            plain = all(
                source.path and by_folders(source, settings(given, tables, source).options) == Options()
                for source in found
            )
            return [source.path for source in found if source.path] if plain else None

        def store(store: Store, named: Sequence[str]) -> int:
            readers = self._readers()
            done = run(store, named, given=given, tables=tables, clock=self.now, readers=readers, note=self._note)
            if done.errors:
                raise done.errors[0]
            return done.rejected

        return Reader(files, store)

    # --- A/B tests ---

    def create_ab_test(
        self,
        name: str,
        model_a_id: str,
        model_b_id: str,
        config: Mapping[str, Any] | None = None,
        *,
        start: str | datetime | None = None,
        **given: Any,
    ) -> ABTest:
        """Compare model B with model A from `start` on (default: now); `config` and `given` as in docs/ab.md.

        The same definition again is the same test.
        """
        from detmon.ab_tests import definition
        from detmon.ab_tests.making import make

        said = {**(config or {}), **given}
        start = said.pop("start", None) if start is None else start
        defined = definition.define(said)
        now = self.now()
        with self.store.writing() as con, transaction(con):
            made = make(con, name, model_a_id, model_b_id, defined, start, now)
        return made.record(now)

    def list_ab_tests(self) -> list[ABTest]:
        """All tests, newest first."""
        from detmon.ab_tests import definition

        with self.store.reading() as con:
            return [test.record(self.now()) for test in definition.every(con)]

    def assign_ab_test(self, test: str, units: Iterable[str]) -> Iterator[Assignment]:
        """The arm of each unit, as they come."""
        from detmon.ab_tests import definition
        from detmon.ab_tests.assign import assign

        with self.store.reading() as con:
            found = definition.find(con, test)
        if not found.assigned:
            with self.store.writing() as con, transaction(con):
                con.execute(statement("assign_ab_test"), {"id": found.id})
        return assign(found, units)

    def get_ab_test_results(self, test: str) -> ABResults:
        """The comparison at the last complete day: the same whoever asks, however often."""
        from detmon import reviewed
        from detmon.ab_tests import definition, results, settings

        with self.store.reading() as con:
            found = definition.find(con, test)
            a, b = (times.parse_zone(models.find(con, model).zone or "UTC") for model in (found.model_a, found.model_b))
            constants = settings.settings(self.config)
            return results.results(con, found, self.now(), (a, b), constants, reviewed.settings(self.config))

    def plan_ab_test(self, model_id: str, metric: str = "confidence", **given: Any) -> ABPlan:
        """How many units and days a test of effects of 2 and 5 % needs, from the model's last 28 days."""
        from detmon.ab_tests import definition, plan

        defined = definition.define({"metrics": [metric], **given})
        with self.store.reading() as con:
            return plan.plan(con, models.find(con, model_id).id, metric, defined, self.now())

    def stop_ab_test(self, test: str) -> ABTest:
        """End a test before its time; its complete days count."""
        from detmon.ab_tests import definition

        now = self.now()
        with self.store.writing() as con, transaction(con):
            return definition.stop(con, definition.find(con, test), now).record(now)

    def promote_ab_test(self, test: str, alias: str = "champion", *, force: bool = False) -> Model:
        """Give the winner an alias; without a winner that needs `force`, and model B gets it."""
        found = self.get_ab_test_results(test)
        if found.winner is None and not force:
            raise UsageError(f"{found.name}: {found.verdict}", "--force promotes model B all the same")
        winner, loser = (found.model_b, found.model_a) if found.winner != "a" else (found.model_a, found.model_b)
        return self._promote(winner.model_id, alias, [loser.model_id])

    def promote_model(self, model_id: str, alias: str = "champion") -> Model:
        """Give a model an alias, by which every command then finds it; also in MLflow, if it has the model."""
        return self._promote(model_id, alias)

    def _promote(self, model_id: str, alias: str, over: Sequence[str] = ()) -> Model:
        """MLflow first: where it fails nothing is changed here."""
        from detmon import mlflow

        models.check_alias(alias)
        with self.store.reading() as con:
            model = models.find(con, model_id)
            others = [models.find(con, other).name for other in over]
        if place := mlflow.promote(model.name, model.version, model.uri, alias):
            self._note(f"{model.id} is {alias} in MLflow, too ({place})")
        with self.store.writing() as con, transaction(con):
            return models.promote(con, model, alias, others)

    # --- training ---

    def create_training_job(
        self,
        name: str,
        dataset_id: str,
        version_id: str,
        base_model_id: str | None = None,
        *,
        wait: bool = False,
    ) -> TrainingJob:
        """Run the trainer of the configuration on a version of a dataset, from `base_model_id` on.

        Comes back when the training runs, or with `wait` when it is over. The model that it makes is registered.
        """
        from detmon.training import jobs, run, settings

        jobs.check_name(name)
        with self.store.reading() as con:
            of = jobs.inputs(con, dataset_id, version_id, base_model_id)
        rules = settings.read(self.config)
        office = self._training()

        def export(folder: Path) -> None:
            done = self.export_version(
                of.version_id,
                rules.format,
                folder,
                image_root=rules.image_root,
                link=rules.images == "link",
                images=rules.images != "none",
            )
            for warning in done.warnings:
                self._note(f"{warning.code}: {warning.message}")
            if not done.train:
                raise OperationError(
                    f"there is nothing to train on: {done.images:,} images were exported, none of them for training",
                    "--val of `detmon version create` says how many are for validation",
                )

        job = run.create(office, run.Order(name, of, rules, export, self._report))
        if wait:
            try:
                self._note(f"{job.record.id} is {job.record.status}; its log: {job.record.log or 'none yet'}")
                job = run.wait(office, job)
            except KeyboardInterrupt:
                self._note(f"{job.record.id} goes on: detmon train cancel {job.record.id} ends it")
                raise
        return job.record

    def list_training_jobs(self) -> list[TrainingJob]:
        """All jobs, newest first, as they stand now."""
        from detmon.training import jobs, run

        with self.store.reading() as con:
            known = jobs.every(con)
        office = self._training()
        return [run.look(office, job).record for job in known]

    def show_training_job(self, id_or_name: str) -> TrainingJobDetails:
        """One job as it stands now, with the versions that went into it."""
        from detmon.training import jobs, run

        job = run.look(self._training(), self._job(id_or_name))
        with self.store.reading() as con:
            return jobs.details(con, job)

    def show_training_log(self, id_or_name: str) -> TrainingLog:
        """What a job printed so far."""
        from detmon.training import run
        from detmon.training.records import TrainingLog

        office = self._training()
        job = run.look(office, self._job(id_or_name))
        text = office.trainer(job.record.trainer).log(job.handle) if job.handle else ""
        return TrainingLog(job.record.id, job.record.status, job.record.log, text)

    def cancel_training_job(self, id_or_name: str, *, force: bool = False) -> TrainingJob:
        """End a job, and what it started; comes back when it has ended.

        `force` calls it cancelled also where whatever runs it cannot be asked any more.
        """
        from detmon.training import run

        return run.cancel(self._training(), self._job(id_or_name), give_up=force).record

    def _job(self, id_or_name: str) -> Job:
        from detmon.training import jobs

        with self.store.reading() as con:
            return jobs.find(con, id_or_name)

    def _training(self) -> Office:
        """What leading training jobs needs."""
        from functools import cache

        from detmon.training.guarded import Guarded
        from detmon.training.run import Office
        from detmon.training.settings import trainer_config

        settings, registry = trainer_config(self.config), self._plugins()
        made = cache(lambda name: Guarded(name, registry.trainer(name), settings))
        return Office(self.store, made, self.now, self._note)

    def _report(self, job_id: str) -> list[str]:
        """The command by which a trainer lets the store know that a job is over."""
        store = str(self.config.db.absolute())
        return [sys.executable, "-P", "-m", "detmon", "--quiet", "--db", store, "train", "show", job_id]

    # --- gates ---

    def run_gate(self, name: str) -> GateResult:
        """The decision of `[gate.NAME]`, and what each of its checks observed."""
        from detmon import gate

        file = self.config.origins.get(f"gate.{name}")
        return gate.run(name, self.config.table("gate"), _Answers(self, file.parent if file else Path()))

    # --- health ---

    def run_doctor(self, model_id: str | None = None, *, full: bool = False) -> Diagnosis:
        """What is wrong with the logs (of one model), the store, and what watches them; what is well is said, too.

        `full`: every hourly sum is compared with its rows, not only the newest.
        """
        from detmon import doctor
        from detmon.doctor.files import look

        place = look(self.store.path, configuration.files_with_secrets(self.config))
        overdue = times.parse_duration(str(self.config.table("notify").get("overdue_after", "15m")))
        return doctor.examine(
            self.store, place, self._around(), self.now(), model=model_id, overdue_after=overdue, everything=full
        )

    def _around(self) -> Around:
        """What the rest of detmon says of this machine."""
        from detmon.doctor import Around
        from detmon.errors import Mistakes
        from detmon.notify.settings import default_targets

        heartbeat = bool(os.environ.get("DETMON_HEARTBEAT_URL"))
        try:
            lacking = self.check_config()
        except Mistakes as error:
            return Around(error.errors, heartbeat=heartbeat)
        tells = bool(default_targets(self.config))
        return Around((), lacking, self._plugins().problems, self._lacking, tells, heartbeat, self._stuck_jobs)

    def _stuck_jobs(self) -> list[str]:
        """What is odd with the training jobs that are not over."""
        from detmon.training import jobs, run

        with self.store.reading() as con:
            open_jobs = [job for job in jobs.every(con) if not job.is_over]
        if not open_jobs:
            return []
        office = self._training()
        return [
            f"training job {job.record.id} ({job.record.name}): {text}"
            for job in open_jobs
            if (text := run.oddity(office, job))
        ]

    def _lacking(self, target: str) -> list[str]:
        """What this machine lacks to serve a target, or why that is none."""
        from detmon.notify import check_target

        try:
            return [str(problem) for problem in check_target(self.config, target)]
        except UsageError as error:
            return [f"{target}: {error.message}"]

    # --- room ---

    def prune(self, older_than: str, *, dry_run: bool = False) -> Pruned:
        """Remove predictions, and what is past of alerts; rollups, reviewed and flagged predictions stay.

        Rows of running A/B tests stay, too. `dry_run` only says what would go.
        """
        from detmon import prune
        from detmon.ab_tests import definition

        now, length = self.now(), times.parse_duration(older_than)
        if length < prune.LOOKED_BACK:
            self._note("anomalies, backtests and the data engine look back 28 days: they miss what goes before that")
        with self.store.reading() as con:
            tests = [test for test in definition.every(con) if test.status(now) == "running"]
        kept = [(model, test.start) for test in tests for model in (test.model_a, test.model_b)]
        return prune.prune(self.store, length, now, kept=kept, dry_run=dry_run)

    # --- demo ---

    def run_demo(self, folder: str | Path = "detmon-demo") -> Story:
        """Make a month of a small camera fleet in `folder`, ingest it, watch it, and say what happened."""
        from detmon import demo

        place = Path(folder)
        world = demo.world_before(self.now())
        demo.prepare(place)
        self._note(f"making {world.days} days of {world.cameras} cameras in {place}/logs")
        demo.write_logs(world, place / "logs")

        def at(moment: datetime) -> Client:
            return Client(config=place / "detmon.toml", db=place / "detmon.duckdb", now=moment)

        self._note("detmon ingest logs")
        ingested = at(self.now()).ingest(place / "logs")
        alerts = [at(self.now()).create_alert(demo.MODEL, **rule) for rule in demo.rules(place / "notices.jsonl")]
        moments = demo.check_times(world)
        self._note(f"detmon alert check, {len(moments)} times, as cron would have done")
        checks = [at(moment).check_alerts() for moment in moments]
        self._note("detmon drift check, engine run, feedback import, quality show")
        client = at(self.now())
        client.configure_data_engine(demo.MODEL, demo.ENGINE, client.create_dataset(demo.DATASET).id)
        client.run_data_engine(demo.MODEL)
        flagged = client.get_flagged_items(demo.DATASET, limit=ingested.predictions)
        reviewed_share = demo.write_verdicts(flagged, place / "reviews.jsonl")
        client.import_feedback(place / "reviews.jsonl")
        with client.store.reading() as con:
            truth = demo.truth(con)
        return demo.Story(
            folder=str(place),
            model_id=demo.MODEL,
            cameras=world.cameras,
            days=world.days,
            ingested=ingested,
            alerts=tuple(alerts),
            drift=client.check_drift(demo.MODEL),
            reviewed=len(flagged),
            reviewed_share=reviewed_share,
            quality=client.show_quality(demo.MODEL),
            truth=truth,
            **demo.watched(checks),
        )


def _pruned(model_id: str, before: datetime) -> str:
    return f"rows of {model_id} before {before:%Y-%m-%d %H:%M} UTC are pruned"


def _names(source: str | Path | Sequence[str | Path]) -> list[str]:
    return [str(source)] if isinstance(source, str | Path) else [str(one) for one in source]


def _instant(moment: str | datetime | None) -> datetime | None:
    """A time as users give it, as naive UTC."""
    if moment is None:
        return None
    return times.parse_instant(moment) if isinstance(moment, str) else times.naive_utc(moment)


def _user() -> str:
    """The user of the operating system."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"


class _Answers:
    """What a gate asks, answered by the client's own verbs."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.client = client
        self.folder = folder
        self._reports: dict[str, QualityReport] = {}

    def model(self, name: str) -> str:
        return str(_id("model", name))

    def drift(self, model: str, reference: str | None, current: str | None) -> tuple[bool | None, str]:
        report = self.client.check_drift(model, reference, current)
        return report.significant_drift, report.reason

    def firing(self, model: str) -> int:
        return sum(row.state == "firing" for row in self.client.list_alerts(model))

    def metric(self, model: str, metric: str, period: str, label: str | None) -> tuple[float | None, str | None]:
        where = {"label": label} if label else None
        (point, *_) = self.client.show_metric(metric, model, period=period, where=where).points
        return point.value, point.reason

    def quality(self, model: str, metric: str, period: str) -> Quality:
        from detmon.gate import Quality

        report = self.client.show_quality(model, period)
        found = report.precision if metric == "precision" else report.recall
        reason = next((one.message for one in report.reasons if metric in one.refuses), None)
        if found is None:
            return Quality(None, 0, 0, reason)
        return Quality(found.value, found.effective_n or 0, found.clusters or 0, reason)

    def items(self, dataset: str, status: str | None) -> int:
        from detmon import datasets

        with self.client.store.reading() as con:
            return datasets.count(con, datasets.find(con, dataset), status)

    def ab(self, test: str) -> tuple[str | None, bool, str]:
        found = self.client.get_ab_test_results(test)
        last_word = found.status != "running" and not found.provisional and not found.withheld
        return found.winner, last_word, found.verdict

    def evaluate(self, model: str | None, check: Mapping[str, Any]) -> Evaluated:
        from detmon.gate import Evaluated
        from detmon.quality.truth import measured

        keys = ("version", "split", "min_confidence", "missing_are_empty", "image_id")
        said = {key: check[key] for key in keys if key in check}
        log = check["log"] if "://" in check["log"] else str(self.folder / Path(check["log"]).expanduser())
        same = f"{model} {log} {said}"  # several checks of one log read it once
        if same not in self._reports:
            self._reports[same] = self.client.show_quality(model, log=log, **said)
        return Evaluated(*measured(self._reports[same], check["metric"], check.get("label"), check.get("digest", "")))
