"""Cameras, channels, crons and ingests that fail in any order: what is told stays true."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from alert_world import RULES, SLOT, World
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from receivers import PagerDuty, receiving

CAMERAS = st.sampled_from(("a", "b", "c"))
CHANNELS = st.sampled_from(("one", "two"))
NAMES = st.sampled_from(tuple(RULES))


class Life(RuleBasedStateMachine):
    """Everything that may happen to a watched fleet, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.world = World(Path(self.place.name))

    @rule(count=st.integers(1, 6))
    def time_passes(self, count: int) -> None:
        self.world.pass_slots(count)

    @rule(camera=CAMERAS, shown=st.sampled_from(("good", "bad", "bad", "dark")))
    def camera_changes(self, camera: str, shown: str) -> None:
        self.world.light[camera] = shown
        self.world.pass_slots(1)

    @rule(camera=CAMERAS)
    def camera_flaps(self, camera: str) -> None:
        for _ in range(3):
            for shown in ("bad", "good"):
                self.world.light[camera] = shown
                self.world.pass_slots(1)

    @rule(channel=CHANNELS)
    def channel_breaks(self, channel: str) -> None:
        self.world.break_channel(channel)

    @rule(channel=CHANNELS)
    def channel_is_mended(self, channel: str) -> None:
        self.world.mend_channel(channel)

    @rule()
    def cron_sleeps_or_wakes(self) -> None:
        self.world.cron = not self.world.cron

    @precondition(lambda self: self.world.ingest)
    @rule()
    def ingest_stops(self) -> None:
        self.world.ingest = False

    @precondition(lambda self: not self.world.ingest)
    @rule()
    def ingest_goes_on(self) -> None:
        self.world.restart_ingest()

    @rule(name=NAMES)
    def somebody_edits(self, name: str) -> None:
        if name not in self.world.paused:
            self.world.edit(name)

    @rule(name=NAMES)
    def somebody_pauses(self, name: str) -> None:
        self.world.pause(name)

    @rule(what=st.one_of(CAMERAS, NAMES), slots=st.integers(1, 12))
    def somebody_silences(self, what: str, slots: int) -> None:
        self.world.silence(what, slots)

    def teardown(self) -> None:
        self.world.settle()
        self.world.judge()
        self.place.cleanup()


def live(examples: int, steps: int, *, derandomize: bool) -> None:
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=derandomize,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),  # a step takes a second: shrinking would take hours
        ),
    )


def test_whatever_happens() -> None:
    live(3, 8, derandomize=True)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_whatever_happens_at_length() -> None:
    live(60, 30, derandomize=False)


def days(folder: Path, seed: int, slots: int) -> None:
    """Days of a fleet on which everything fails now and then, and nobody looks."""
    world = World(folder)
    eventful(world, Random(seed), slots)
    world.settle()
    world.judge()


def eventful(world: World, chance: Random, slots: int) -> None:
    """Let so many slots pass in which things happen."""
    while world.now < slots * SLOT:
        happens = chance.choices(
            ("camera", "flaps", "channel", "mended", "cron", "ingest", "edit", "silence", "nothing"),
            (6, 1, 1, 2, 1, 1, 0.3, 0.7, 3),
        )[0]
        camera, channel = chance.choice(world.cameras), chance.choice(world.channels)
        if happens == "camera":
            world.light[camera] = chance.choice(("good", "good", "bad", "dark"))
        elif happens == "flaps":
            for shown in ("bad", "good") * 3:
                world.light[camera] = shown
                world.pass_slots(1)
        elif happens == "channel":
            world.break_channel(channel)
        elif happens == "mended":
            world.mend_channel(channel)
        elif happens == "cron":
            world.cron = not world.cron
        elif happens == "ingest":
            world.restart_ingest() if not world.ingest else setattr(world, "ingest", False)
        elif happens == "edit":
            world.edit(chance.choice(sorted(RULES)))
        elif happens == "silence":
            world.silence(camera, chance.randint(2, 12))
        world.pass_slots(chance.randint(1, 6))
        if chance.random() < 0.5:
            world.cron = True


def test_an_eventful_morning(tmp_path: Path) -> None:
    days(tmp_path, seed=5, slots=36)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(3))
def test_a_week_that_nobody_looks(tmp_path: Path, seed: int) -> None:
    days(tmp_path, seed, slots=7 * 288)


def incidents(folder: Path, monkeypatch: pytest.MonkeyPatch, seed: int, slots: int) -> None:
    """Whatever happened meanwhile, also to PagerDuty itself: when all is well again, no incident is left open."""
    import detmon_pagerduty

    quick = replace(detmon_pagerduty.PagerDuty.capabilities, rate_per_s=1000.0)
    monkeypatch.setattr(detmon_pagerduty.PagerDuty, "capabilities", quick)
    monkeypatch.setattr("detmon.notify.sending.SECOND_TRY_AFTER", 0.01)
    chance = Random(seed)
    with receiving(PagerDuty()) as server:
        monkeypatch.setenv("PAGERDUTY_ROUTING_KEY", server.routing_key)
        (folder / "detmon.toml").write_text(f'[notify.pagerduty.oncall]\nurl = "{server.url}"\n')
        world = World(folder, channels=("one",), services=("pagerduty:oncall",))
        world.light["a"] = "bad"
        world.pass_slots(2)
        while world.now < slots * SLOT:
            server.down = chance.random() < 0.4
            eventful(world, chance, world.now // SLOT + 8)
        server.down = False
        world.light = dict.fromkeys(world.cameras, "good")
        world.settle()
        world.pass_slots(14)  # what flaps is steady after an hour
        assert server.open == {}
        assert "trigger" in {action for action, _ in server.history}


def test_no_incident_is_left_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    incidents(tmp_path, monkeypatch, seed=1, slots=14)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(4))
def test_no_incident_is_left_open_in_two_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    incidents(tmp_path, monkeypatch, seed, slots=576)
