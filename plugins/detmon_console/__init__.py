"""detmon's console notifier."""
