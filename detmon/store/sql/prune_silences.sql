-- Silences that have ended, and acknowledgements of what has.
DELETE FROM alert_silences WHERE ends_at < $before OR (kind = 'ack' AND created_at < $before
  AND episode_id NOT IN (SELECT episode_id FROM alert_instances WHERE episode_id IS NOT NULL))
