-- The rows that the rollups sum, with their denominator, where none of them are pruned.
SELECT p.*, b.denominator FROM predictions p JOIN batches b USING (batch_id)
WHERE NOT EXISTS (SELECT 1 FROM pruned AS x WHERE x.model_id = p.model_id AND p.ts < x.before)
