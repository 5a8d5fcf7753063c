-- What a stage keeps.
CREATE OR REPLACE TEMP TABLE selected AS
SELECT r.prediction_id, r.ts, r.source, r.batch_id, r.probability * coalesce(r.known_tau, n.tau) AS probability, r.reasons
FROM ranked r LEFT JOIN new_caps n ON n.stage = $stage AND n.group_key = r.group_key
WHERE r.v < coalesce(r.known_cut, n.cut)
