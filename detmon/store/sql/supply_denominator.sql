-- What is known now of the images of a log that is stored; the span of its rows.
UPDATE batches SET denominator = $denominator WHERE sha256 = $sha256 AND denominator = 'unknown'
RETURNING ts_min, ts_max
