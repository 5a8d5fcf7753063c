-- Predictions of the model, and of the other model on the same image (and source), that a run has to compare: one of the
-- two is new, and the model's own is new too, or was scanned before. `highest`: no rate is above it.
CREATE OR REPLACE TEMP TABLE partners AS
WITH new AS (
  SELECT p.model_id, p.batch_id, p.ts, p.prediction_id, p.image_id, p.source
  FROM predictions p SEMI JOIN stretches s ON s.batch_id = p.batch_id AND p.ts >= s.first AND p.ts < s.last
  WHERE p.model_id IN ($model, $other) AND p.batch_id BETWEEN $first_batch AND $last_batch
    AND p.status IS DISTINCT FROM 'error'),
scanned AS (
  SELECT p.batch_id, p.ts, p.prediction_id, p.image_id, p.source
  FROM predictions p SEMI JOIN engine_scans s
    ON s.engine_id = $engine AND s.batch_id = p.batch_id AND p.ts >= s.first AND p.ts < s.last
  WHERE p.model_id = $model AND p.status IS DISTINCT FROM 'error'),
pairs AS (
  SELECT m.batch_id, m.ts, m.prediction_id, t.batch_id AS their_batch, t.ts AS their_ts, t.prediction_id AS theirs,
    false AS late
  FROM new m JOIN predictions t ON t.image_id = m.image_id AND t.source IS NOT DISTINCT FROM m.source
  WHERE m.model_id = $model AND t.model_id = $other AND t.status IS DISTINCT FROM 'error'
  UNION ALL
  SELECT m.batch_id, m.ts, m.prediction_id, t.batch_id, t.ts, t.prediction_id, true
  FROM scanned m JOIN new t ON t.image_id = m.image_id AND t.source IS NOT DISTINCT FROM m.source
  WHERE t.model_id = $other AND NOT $again)
SELECT row_number() OVER () AS pair, * FROM pairs WHERE {bucket} < $highest
