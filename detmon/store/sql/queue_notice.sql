-- Queues a notice; the same notice again (a check that was repeated) is the one that waits already.
INSERT INTO outbox(notice_id, seq, target, kind, group_key, alert_id, slot, run_id, payload, status, created_at,
                   not_before, expires_at, attempts, ambiguous)
VALUES ($notice_id, nextval('outbox_seq'), $target, $kind, $group_key, $alert_id, $slot, $run_id, $payload, 'queued', $now,
        $now, $expires_at, 0, false)
ON CONFLICT DO NOTHING
