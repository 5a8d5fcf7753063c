-- The one notice that stands for several that waited.
INSERT INTO outbox(notice_id, seq, target, kind, group_key, alert_id, slot, run_id, payload, status, created_at,
                   not_before, expires_at, attempts, ambiguous)
VALUES ($notice_id, $seq, $target, $kind, $group_key, $alert_id, $slot, $run_id, $payload, 'queued', $created_at,
        $not_before, $expires_at, $attempts, $ambiguous)
