"""Alerts: rules, their state machine, the check, and what is to be told."""
