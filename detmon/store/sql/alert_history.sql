SELECT slot, 'event' AS what, kind, labels, value, n, reason, NULL AS target, NULL AS status, detail, seq AS rank
FROM alert_events WHERE alert_id = $id
UNION ALL
SELECT slot, 'skipped', 'skipped', NULL, NULL, NULL,
  'from ' || strftime(skipped_from, '%Y-%m-%dT%H:%M:%SZ') || ' on', NULL, NULL, NULL, 0
FROM alert_evaluations WHERE alert_id = $id AND status = 'skipped'
UNION ALL
SELECT slot, 'notice', kind, NULL, NULL, NULL, last_error, target, status, NULL, 9000000000000000000
FROM outbox WHERE notice_id IN (SELECT notice_id FROM outbox_items WHERE alert_id = $id)
ORDER BY slot, rank, target
