"""Simulated worlds, and how often the statistics are right in them: `python -m tests.simulations --help`."""
