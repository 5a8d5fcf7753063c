"""Checks of what goes on around the log: rules, notices, reviews, engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from detmon.doctor.facts import Log, Work
from detmon.doctor.logs import alike, covering
from detmon.doctor.records import Finding
from detmon.errors import DetmonError

OLD_BASELINE = timedelta(days=180)
DRIFT = ("class_drift", "confidence_drift", "count_drift")
OF_LATENCY = ("p50_latency_ms", "p90_latency_ms", "p95_latency_ms", "p99_latency_ms", "avg_latency_ms")


@dataclass(frozen=True)
class Around:
    """What only the rest of detmon can tell: mistakes in the configuration, what this machine lacks, broken plugins.

    `lacks` says what is missing for a target; `tells`: rules without targets have default ones; `heartbeat`: an address
    is set; `trainings`: what is odd with training jobs that are not over, a sentence each.
    """

    mistakes: Sequence[DetmonError] = ()
    lacking: Sequence[str] = ()
    plugins: Sequence[str] = ()
    lacks: Callable[[str], Sequence[str]] = lambda target: ()
    tells: bool = False
    heartbeat: bool = False
    trainings: Callable[[], Sequence[str]] = lambda: ()


def configuration(around: Around) -> Iterator[Finding]:
    """What `detmon config check` says."""
    for mistake in around.mistakes:
        yield Finding("configuration", "error", mistake.message, mistake.hint or "detmon config check")


def targets(around: Around, work: Work | None) -> Iterator[Finding]:
    """What this machine lacks to serve the targets of the configuration and of the rules that are on."""
    named = dict.fromkeys(target for rule in work.rules for target in rule.notify) if work else ()
    for problem in dict.fromkeys([*around.lacking, *(line for target in named for line in around.lacks(target))]):
        yield Finding("target", "warning", f"{problem}: its notices wait or die", "detmon notify test TARGET --dry-run")


def plugins(around: Around) -> Iterator[Finding]:
    """Plugins that did not load, or claim the same."""
    for problem in around.plugins:
        yield Finding("plugin", "warning", problem, "detmon plugins")


def sums(work: Work) -> Iterator[Finding]:
    """Whether the hourly sums, which all long views read, are those of the rows."""
    if not work.sums_equal:
        text = "hourly sums differ from the rows they sum: metrics over days, drift and the dashboard may be wrong"
        hint = "keep a copy of the store and report it; a new store, ingested again, is right"
        yield Finding("rollups_differ", "error", text, hint)


def schema(work: Work, newest: int) -> Iterator[Finding]:
    """Whether this detmon knows the store's tables."""
    if work.schema > newest:
        text = f"a newer detmon made this store (schema {work.schema}, known here: {newest})"
        yield Finding("schema_version", "error", text, "pip install --upgrade detmon")


def quarantine(work: Work) -> Iterator[Finding]:
    """How much was not stored."""
    if work.rejected:
        share = work.rejected / max(1, work.read)
        level = "warning" if share > 0.01 else "info"
        text = (
            f"{work.rejected:,} of {work.read:,} records read were not stored ({share:.2%}): {', '.join(work.reasons)}"
        )
        yield Finding("quarantine", level, text, "detmon quarantine list")


def waiting(work: Work) -> Iterator[Finding]:
    """Verdicts that count nowhere, because their prediction has not come."""
    if work.waiting:
        text = f"{work.waiting:,} verdicts wait for more than 7 days for their prediction ({work.waiting_example!r})"
        hint = "detmon feedback list --waiting; ingest the log they are about, or correct their prediction ids"
        yield Finding("feedback_waiting", "warning", f"{text}: they count nowhere", hint)


def outbox(work: Work) -> Iterator[Finding]:
    """Notices that nobody got."""
    why = f" ({work.last_error})" if work.last_error else ""
    if work.dead:
        text = f"{work.dead} notices are dead letters: nobody was told{why}"
        yield Finding("dead_notices", "warning", text, "detmon notify list --status dead; notify retry --dead")
    if work.overdue:
        text = f"{work.overdue} notices wait for too long{why}"
        yield Finding("overdue_notices", "warning", text, "detmon notify list --status queued; notify send")


def checks(work: Work, around: Around, now: datetime) -> Iterator[Finding]:
    """Whether rules are evaluated, and whether anybody would notice if not."""
    if not work.rules:
        return
    often = max(3 * min(rule.every for rule in work.rules), timedelta(hours=1))
    cron = "run `detmon alert check` from cron, every few minutes (docs/operations.md)"
    if work.checked_at is None:
        text = f"{len(work.rules)} alerts are on, and never were checked"
        yield Finding("checks_stale", "warning", text, cron)
    elif now - work.checked_at > often:
        text = f"alerts were last checked at {work.checked_at:%Y-%m-%d %H:%M} UTC: nothing fires meanwhile"
        yield Finding("checks_stale", "warning", text, cron)
    if not around.heartbeat:
        text = "no heartbeat: nobody is told when the checks themselves stop"
        yield Finding("no_heartbeat", "info", text, "DETMON_HEARTBEAT_URL, or alert check --heartbeat URL")


def rules(work: Work, logs: Sequence[Log], around: Around) -> Iterator[Finding]:
    """Rules that can never fire, that look too soon, or that tell nobody."""
    known = {log.model_id: log for log in logs}
    for rule in work.rules:
        log = known.get(rule.model_id)
        said = f"alert {rule.name!r}"
        if missing := _missing(rule.metric, rule.where, log):
            text = f"{said} watches {missing}: it can never fire"
            yield Finding("rule_without_rows", "warning", text, f"detmon alert show '{rule.name}'", rule.model_id)
        elif log and log.arrivals.live and log.arrivals.delay > rule.delay + rule.every:
            late = covering(log.arrivals.delay)
            text = f"{said} looks at windows before their rows are there (95 % come within {late})"
            hint = f"detmon alert create … --delay {late} --replace"
            yield Finding("rule_too_early", "warning", text, hint, rule.model_id)
        if (rule.relative or rule.metric in DRIFT) and rule.model_id not in work.baselines:
            text = f"{said} compares with a baseline that {rule.model_id} does not have: it has no value"
            hint = f"detmon baseline set --model {rule.model_id} --period 2026-01-01:2026-01-31"
            yield Finding("no_baseline", "warning", text, hint, rule.model_id)
        if not rule.notify and not around.tells:
            text = f"{said} tells nobody: it shows in `alert list` only"
            yield Finding("rule_tells_nobody", "info", text, "--notify TARGET, or [notify] default", rule.model_id)


def _missing(metric: str, asked: Mapping[str, str], log: Log | None) -> str | None:
    """What a rule looks at and the store does not have."""
    if log is None:
        return "a model without predictions"
    if "label" in asked and asked["label"] not in log.labels:
        return f"the label {asked['label']!r}, which {log.model_id} never logged"
    if "source" in asked and asked["source"] not in {seen.name for seen in log.sources}:
        return f"the source {asked['source']!r}, which {log.model_id} did not log in its last 28 days"
    if metric in OF_LATENCY and not log.timed:
        return f"latencies, which {log.model_id} does not log"
    return None


def engines(work: Work) -> Iterator[Finding]:
    """Engines whose reviews cannot speak for all images, or that never ran."""
    for engine in work.engines:
        named = f"the engine of {engine.model_id} for {engine.dataset!r}"
        if not engine.random:
            text = f"{named} has no random sample: precision and recall of all images cannot be had from its reviews"
            hint = "random_sample = { enabled = true, rate = 0.05 } (docs/engine.md)"
            yield Finding("no_random_sample", "warning", text, hint, engine.model_id)
        if engine.scanned_at is None:
            text = f"{named} never ran: nothing is flagged"
            yield Finding("engine_never_ran", "warning", text, "detmon engine run, from cron", engine.model_id)


def trainings(around: Around) -> Iterator[Finding]:
    """Training jobs of which nobody will hear, or that take too long."""
    for text in around.trainings():
        yield Finding("training_stuck", "warning", text, "detmon train list brings the store up to date")


def baselines(work: Work, logs: Sequence[Log]) -> Iterator[Finding]:
    """Whether each model has a normal, and a recent one."""
    for log in logs:
        end = work.baselines.get(log.model_id)
        hint = f"detmon baseline set --model {log.model_id} --period START:END"
        if end is None and log.last - log.first > timedelta(days=28):
            text = "no baseline: drift is measured from the 28 days before, which move along with slow changes"
            yield Finding("no_baseline", "info", text, hint, log.model_id)
        elif end is not None and log.last - end > OLD_BASELINE:
            text = f"the baseline ends {(log.last - end).days} days before the newest image"
            yield Finding("old_baseline", "info", text, hint, log.model_id)


def names(work: Work) -> Iterator[Finding]:
    """Models that may be one, spelt in two ways."""
    for group in alike(work.registered):
        text = f"models whose names differ in spelling only: {', '.join(map(repr, group))}; each has a part of the log"
        yield Finding("models_alike", "warning", text, "let the server write one of them, and ingest again")
