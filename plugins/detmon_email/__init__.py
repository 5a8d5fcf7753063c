"""detmon's email notifier."""
