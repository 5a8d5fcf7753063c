INSERT INTO alert_silences(silence_id, kind, matchers, episode_id, starts_at, ends_at, author, comment, created_at)
VALUES ($silence_id, $kind, $matchers, $episode_id, $starts_at, $ends_at, $author, $comment, $now)
