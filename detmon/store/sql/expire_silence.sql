-- Ends a silence now; one that has not begun never does.
UPDATE alert_silences SET starts_at = least(starts_at, $now), ends_at = $now WHERE silence_id = $silence_id AND ends_at > $now
