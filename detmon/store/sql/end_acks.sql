-- An acknowledgement ends with its episode.
UPDATE alert_silences SET ends_at = $now
WHERE kind = 'ack' AND ends_at IS NULL
  AND episode_id NOT IN (SELECT episode_id FROM alert_instances WHERE episode_id IS NOT NULL)
