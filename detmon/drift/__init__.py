"""Whether the world or the model changed: two periods of a log, compared over blocks of time or sources."""
