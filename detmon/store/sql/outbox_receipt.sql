-- The receipt of the first notice that told a target of one of these episodes.
SELECT o.receipt
FROM outbox_items i JOIN outbox o ON o.notice_id = i.notice_id
WHERE list_contains($episodes, i.episode_id) AND o.target = $target AND o.status = 'sent' AND o.receipt IS NOT NULL
ORDER BY o.seq
LIMIT 1
