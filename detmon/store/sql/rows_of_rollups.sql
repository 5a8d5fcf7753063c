SELECT p.*, b.denominator FROM predictions p JOIN batches b USING (batch_id)
