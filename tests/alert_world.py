"""A small world for alerts: cameras, an ingest, a cron, channels and people, all of which fail; and what must hold.

`World` lives it; `World.judge` looks at all that every channel has got, and at what the store says really happened.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from outbox_help import lines
from stored import BASE, Row, at, store

from detmon import Client
from detmon.times import naive_utc, parse_instant

SLOT = 300
VALUES = {"good": 0.9, "bad": 0.3}
LETTERS = {
    "firing": "f", "reminder": "r", "resolved": "e", "closed": "e", "missed": "m", "flapping": "p", "stable": "s",
    "no_data": "n", "error": "n", "no_data_resolved": "o", "error_resolved": "o",
}  # fmt: skip
CONDITION = {"metric": "avg_confidence", "operator": "lt", "threshold": 0.7, "window": "5m", "every": "5m"}
RULES: dict[str, dict[str, Any]] = {
    "steady": {**CONDITION, "by": ["source"], "repeat": "30m", "no_data_for": "10m", "flap": "off"},
    "nervous": {**CONDITION, "by": ["source"], "repeat": "never", "no_data_for": "10m", "flap": "3/1h"},
    "patient": {**CONDITION, "by": ["source"], "for": "10m", "keep_firing_for": "15m", "no_data": "keep"},
    "volume": {**CONDITION, "metric": "prediction_count", "threshold": 1, "operator": "lt", "flap": "off"},
}


@dataclass
class World:
    """Time runs in slots of five minutes; `now` is in seconds after the base. Rows come from every lit camera."""

    folder: Path
    cameras: tuple[str, ...] = ("a", "b", "c")
    channels: tuple[str, ...] = ("one", "two")
    services: tuple[str, ...] = ()
    """Further targets; `detmon.toml` in the folder configures them."""
    now: int = 0
    cron: bool = True
    ingest: bool = True
    light: dict[str, str] = field(default_factory=dict)
    arrived: dict[tuple[str, int], tuple[int, str]] = field(default_factory=dict)
    """(camera, slot whose window holds the row) → when it reached the store, and what it showed."""
    held: list[tuple[str, int, str]] = field(default_factory=list)
    paused: set[str] = field(default_factory=set)
    thresholds: dict[str, float] = field(default_factory=dict)
    silences: list[tuple[datetime, datetime, str]] = field(default_factory=list)
    """From when until when a camera or a rule is silenced."""

    def __post_init__(self) -> None:
        self.light = dict.fromkeys(self.cameras, "good")
        for channel in self.channels:
            (self.folder / channel).mkdir()
        self._store([(camera, 0, "good") for camera in self.cameras])
        for name in RULES:
            self.define(name)
        self.run()

    # --- what happens ---

    def client(self, later: int = 0) -> Client:
        settings = self.folder / "detmon.toml"
        config = settings if settings.exists() else None
        return Client(db=self.folder / "detmon.duckdb", config=config, now=at(self.now + 30 + later))

    def run(self) -> None:
        """What cron starts."""
        self.client().check_alerts()

    def pass_slots(self, count: int) -> None:
        """Let time pass; the cron, when it lives, runs after every slot."""
        slots = range(self.now + SLOT, self.now + SLOT * (count + 1), SLOT)
        rows = [(camera, slot, shown) for slot in slots for camera, shown in self.light.items() if shown != "dark"]
        if self.ingest:
            self._store(rows)
        else:
            self.held += rows
        for slot in slots:
            self.now = slot
            if self.cron:
                self.run()

    def restart_ingest(self) -> None:
        """What waited reaches the store: late."""
        self.ingest = True
        self._store(self.held)
        self.held = []

    def break_channel(self, channel: str) -> None:
        if (self.folder / channel).exists():
            (self.folder / channel).rename(self.folder / f"{channel} is down")

    def mend_channel(self, channel: str) -> None:
        if not (self.folder / channel).exists():
            (self.folder / f"{channel} is down").rename(self.folder / channel)

    def define(self, name: str) -> None:
        """Make the rule, or change it when its threshold has changed."""
        condition = RULES[name] | {"threshold": self.thresholds.get(name, RULES[name]["threshold"])}
        targets = [f"file:{self.folder}/{channel}/told.jsonl" for channel in self.channels]
        targets += self.services
        self.client().create_alert("m", name, condition, notify=targets, replace=True, min_samples=1)

    def edit(self, name: str) -> None:
        """Change a rule's behaviour, though not what it finds."""
        self.thresholds[name] = self.thresholds.get(name, RULES[name]["threshold"]) + 0.001
        self.define(name)

    def pause(self, name: str) -> None:
        if name in self.paused:
            self.paused.remove(name)
            self.client().enable_alert(name)
        else:
            self.paused.add(name)
            self.client().disable_alert(name)

    def silence(self, what: str, slots: int) -> None:
        """Hold back what is new of a camera or a rule for some slots, the one that is over excluded."""
        matcher = f"alertname={what}" if what in RULES else f"source={what}"
        made = self.client(later=1).add_silence([matcher], for_=f"{slots * SLOT}s")
        self.silences.append((naive_utc(made.starts_at), naive_utc(made.ends_at), what))

    def is_held(self, event: Event, moment: datetime) -> bool:
        """Whether the news of an event's instance was held back at a moment."""
        return any(start <= moment < end and what in (event.rule, event.camera) for start, end, what in self.silences)

    def settle(self) -> None:
        """Everything is mended, silences are over, and time enough passes for all that waits."""
        self.now = max(
            [self.now, *(SLOT * ((end - BASE) // timedelta(seconds=SLOT) + 1) for _, end, _ in self.silences)]
        )
        for channel in self.channels:
            self.mend_channel(channel)
        self.cron = True
        self.restart_ingest()
        self.run()
        for _ in range(3):
            self.pass_slots(4)  # the longest back-off is 18 minutes

    def _store(self, rows: Iterable[tuple[str, int, str]]) -> None:
        kept = list(rows)
        for camera, slot, shown in kept:
            self.arrived[camera, slot] = self.now, shown
        if kept:
            store(
                self.folder,
                [
                    Row(at(slot - ago), source=camera, boxes=[("car", VALUES[shown])])
                    for camera, slot, shown in kept
                    for ago in (10, 150)
                ],
            )

    # --- what must hold ---

    def judge(self) -> None:
        """Every invariant, over all that was told and all that happened; the world must have settled."""
        truth = self._truth()
        self._judge_truth(truth)
        self._judge_silence(truth)
        for channel in self.channels:
            told = lines(self.folder / channel / "told.jsonl")
            self._judge_repeats(told)
            self._judge_stories(told, truth, channel)
        left = [row for row in self.client().list_notices(limit=10_000) if row.status in ("queued", "sending", "dead")]
        assert left == []

    def _truth(self) -> dict[str, Episode]:
        """Every episode and announced health stretch, from the history of events."""
        with duckdb.connect(str(self.folder / "detmon.duckdb"), read_only=True) as con:
            found = con.execute(
                "SELECT episode_id, kind, slot, recorded_at, run_id, labels ->> 'source', a.name, reason "
                "FROM alert_events e JOIN alerts a ON a.id = e.alert_id WHERE episode_id IS NOT NULL ORDER BY seq"
            ).fetchall()
        episodes: dict[str, Episode] = {}
        for episode_id, kind, slot, recorded_at, run_id, camera, rule, reason in found:
            event = Event(kind, slot, recorded_at, run_id, camera, rule, reason)
            episodes.setdefault(episode_id, Episode()).events.append(event)
        return episodes

    def _judge_truth(self, truth: dict[str, Episode]) -> None:
        """An episode begins once and ends once; it resolves on rows that show it, never on missing ones."""
        for episode_id, episode in truth.items():
            kinds = "".join(LETTERS[event.kind] for event in episode.events)
            assert re.fullmatch("f?e?|f|n[oe]?|p[se]?", kinds), (episode_id, kinds)
            last = episode.events[-1]
            if last.kind == "resolved" and last.rule != "volume":
                slot = int((last.slot - BASE).total_seconds())
                came, shown = self.arrived.get((last.camera or "", slot), (10**9, "nothing"))
                assert (at(came) <= last.recorded_at, shown) == (True, "good"), (last, shown)

    def _judge_silence(self, truth: dict[str, Episode]) -> None:
        """What is composed while a silence is in force is of ends only."""
        with duckdb.connect(str(self.folder / "detmon.duckdb"), read_only=True) as con:
            composed = con.execute(
                "SELECT created_at, payload FROM outbox WHERE notice_id NOT IN "
                "(SELECT merged_into FROM outbox WHERE merged_into IS NOT NULL)"
            ).fetchall()
        for moment, payload in composed:
            for item in json.loads(payload)["items"]:
                if item["episode_id"] and LETTERS[item["kind"]] in "frmpn":
                    assert not self.is_held(truth[item["episode_id"]].events[0], moment), (moment, item)

    def _could_be_told(self, episode: Episode, truth: dict[str, Episode], runs: list[datetime]) -> bool:
        """Whether there was a check in which the episode was open, no silence held it and its instance did not flap."""
        begin, end = episode.begin, episode.end
        assert begin is not None
        flaps = [
            other
            for other in truth.values()
            if other is not episode
            and other.begin is not None
            and other.begin.kind == "flapping"
            and (other.begin.rule, other.begin.camera) == (begin.rule, begin.camera)
        ]
        return any(
            not self.is_held(begin, run) and not any(flap.covers(run) for flap in flaps)
            for run in runs
            if run == begin.recorded_at or (begin.recorded_at < run and (end is None or run < end.recorded_at))
        )

    @staticmethod
    def _judge_repeats(told: list[dict[str, Any]]) -> None:
        seen: set[str] = set()
        for line in told:
            assert line["notice_id"] not in seen or line["maybe_repeat"], line
            seen.add(line["notice_id"])

    def _judge_stories(self, told: list[dict[str, Any]], truth: dict[str, Episode], channel: str) -> None:
        stories: dict[str, str] = defaultdict(str)
        whole, runs = self._whole_notices(), self._runs()
        for line in told:
            assert len(whole[line["notice_id"]]) == len(line["items"]) + line["omitted"]
            for item in whole[line["notice_id"]]:
                if item["episode_id"] is None:
                    continue
                stories[item["episode_id"]] += LETTERS[item["kind"]]
                self._judge_times(item, truth[item["episode_id"]])
        for episode_id, episode in truth.items():
            said, where = stories.pop(episode_id, ""), (channel, episode_id, episode.events)
            if episode.begin is None:  # its beginning was another event's: a stretch of flapping that stays firing
                continue
            over = episode.end is not None
            if not self._could_be_told(episode, truth, runs) and said == "":
                continue
            if episode.begin.kind == "firing":
                quiet = self._is_quiet(episode, truth)
                told_right = re.fullmatch("m|fr*e|s?r*e" if over else "fr*|sr*", said)
                assert told_right or (quiet and said == ""), (said, *where)
            elif episode.begin.kind == "flapping":
                closed = over and episode.events[-1].kind == "closed"
                assert re.fullmatch("pe|m" if closed else "p", said), (said, *where)
            else:
                seen = episode.end is None or episode.end.run_id != episode.begin.run_id
                assert re.fullmatch("no|o|ne|e" if over else "n", said) or (not seen and said == ""), (said, *where)
        assert stories == {}

    def _runs(self) -> list[datetime]:
        """When the checks ran."""
        with duckdb.connect(str(self.folder / "detmon.duckdb"), read_only=True) as con:
            return [run for (run,) in con.execute("SELECT now FROM alert_runs").fetchall()]

    def _whole_notices(self) -> dict[str, list[dict[str, Any]]]:
        """The items of every notice, also those that its message only counts."""
        with duckdb.connect(str(self.folder / "detmon.duckdb"), read_only=True) as con:
            return {
                notice_id: json.loads(payload)["items"]
                for notice_id, payload in con.execute("SELECT notice_id, payload FROM outbox").fetchall()
            }

    @staticmethod
    def _judge_times(item: dict[str, Any], episode: Episode) -> None:
        begin, end = episode.begin, episode.end
        if begin is not None and begin.kind == "firing" and item["fired_at"] is not None:
            assert parse_instant(item["fired_at"]) == begin.slot, (item, begin)
        if item["ended_at"] is not None:
            assert end is not None
            assert parse_instant(item["ended_at"]) == end.slot, (item, end)

    @staticmethod
    def _is_quiet(episode: Episode, truth: dict[str, Episode]) -> bool:
        """Whether the episode began while its instance flapped, so that nobody was to hear of it."""
        assert episode.begin is not None
        begin = episode.begin
        return any(
            other.begin is not None
            and other.begin.kind == "flapping"
            and (other.begin.rule, other.begin.camera) == (begin.rule, begin.camera)
            and other.begin.slot <= begin.slot
            and (other.end is None or begin.slot <= other.end.slot)
            for other in truth.values()
        )


@dataclass(frozen=True)
class Event:
    """A row of the history."""

    kind: str
    slot: datetime
    recorded_at: datetime
    run_id: str
    camera: str | None
    rule: str
    reason: str | None


@dataclass
class Episode:
    """The events of one episode, stretch of bad health or stretch of flapping."""

    events: list[Event] = field(default_factory=list)

    @property
    def begin(self) -> Event | None:
        return next((event for event in self.events if LETTERS[event.kind] in "fnp"), None)

    def covers(self, moment: datetime) -> bool:
        """Whether it had begun and was not over."""
        begin, end = self.begin, self.end
        return begin is not None and begin.recorded_at <= moment and (end is None or moment < end.recorded_at)

    @property
    def end(self) -> Event | None:
        return next((event for event in self.events if LETTERS[event.kind] in "eos"), None)
