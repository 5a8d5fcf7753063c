-- Predictions scanned before whose disagreement came to light now.
CREATE OR REPLACE TEMP TABLE late AS SELECT batch_id, ts, prediction_id FROM disagreeing WHERE late
