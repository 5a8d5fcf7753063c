-- The silences in force at an instant, and the acknowledgements of episodes that are open.
SELECT silence_id, kind, matchers, episode_id, author FROM alert_silences
WHERE kind = 'silence' AND starts_at <= $now AND ends_at > $now OR kind = 'ack' AND ends_at IS NULL
ORDER BY starts_at, silence_id
