-- Which targets were told of these episodes.
SELECT episode_id, target, last_slot, count, stateful, refresh FROM alert_notified WHERE list_contains($episodes::VARCHAR[], episode_id)
