UPDATE alerts SET last_slot = evaluated.slot
FROM (SELECT unnest($ids::VARCHAR[]) AS id, unnest($slots::TIMESTAMP[]) AS slot) AS evaluated
WHERE alerts.id = evaluated.id
