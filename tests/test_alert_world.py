"""Cameras, channels, crons and ingests that fail in any order: what is told stays true."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from alert_world import RULES, World
from hypothesis import HealthCheck, settings
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
        ),
    )


def test_whatever_happens() -> None:
    live(4, 8, derandomize=True)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_whatever_happens_at_length() -> None:
    live(60, 30, derandomize=False)
