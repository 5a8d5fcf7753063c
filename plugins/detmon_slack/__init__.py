"""detmon's slack notifier."""
