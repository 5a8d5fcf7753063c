"""Cameras, channels, crons and ingests that fail in any order: what is told stays true."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

import pytest
from alert_world import RULES, SLOT, World
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

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
    world, chance = World(folder), Random(seed)
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
    world.settle()
    world.judge()


def test_an_eventful_morning(tmp_path: Path) -> None:
    days(tmp_path, seed=5, slots=48)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(3))
def test_a_week_that_nobody_looks(tmp_path: Path, seed: int) -> None:
    days(tmp_path, seed, slots=7 * 288)
