-- The (episode, target) pairs of which an earlier notice still waits in the outbox.
SELECT DISTINCT i.episode_id, o.target FROM outbox AS o JOIN outbox_items AS i USING (notice_id)
WHERE o.status IN ('queued', 'sending') AND list_contains($episodes::VARCHAR[], i.episode_id)
