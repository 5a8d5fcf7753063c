-- The model's predictions in the pairs that disagree: those that plainly do, and $pairs.
CREATE OR REPLACE TEMP TABLE disagreeing AS
SELECT batch_id, ts, prediction_id, bool_and(late) AS late FROM partners
WHERE pair IN (SELECT pair FROM compared WHERE NOT agree UNION ALL SELECT unnest($pairs))
GROUP BY batch_id, ts, prediction_id
