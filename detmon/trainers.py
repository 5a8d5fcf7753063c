"""The trainers of detmon itself, registered through the hook that plugins use; none is imported by it."""

from __future__ import annotations

from detmon.hookspecs import RegisterTrainer, hookimpl


@hookimpl
def detmon_register_trainers(register: RegisterTrainer) -> None:
    """Name every trainer."""
    register("command", "detmon.training.command:Command")
    register("github", "detmon.training.github:GitHub")
