-- Of a prediction that is selected twice the earliest stays.
DELETE FROM selected WHERE rowid NOT IN (
  SELECT arg_min(rowid, (ts, batch_id, rowid)) FROM selected GROUP BY prediction_id)
