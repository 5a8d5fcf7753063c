-- The silences in force at an instant, and the acknowledgements of episodes that are open: these have no end yet.
SELECT silence_id, kind, matchers, episode_id, author, starts_at FROM alert_silences
WHERE starts_at <= $now AND (ends_at IS NULL OR ends_at > $now)
