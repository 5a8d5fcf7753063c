"""Datasets: named collections of flagged predictions."""
