-- The model's predictions in the pairs that disagree.
CREATE OR REPLACE TEMP TABLE disagreeing AS
SELECT batch_id, ts, prediction_id, bool_and(late) AS late FROM partners WHERE pair IN (SELECT unnest($pairs))
GROUP BY batch_id, ts, prediction_id
