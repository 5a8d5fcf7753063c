-- Ok rows by block of $length since $first; what is left after the last block belongs to it.
SELECT least(date_diff('microsecond', $first, ts) // $length, $last) AS block, count(*) AS images FROM predictions
WHERE ts >= $start AND ts < $end AND status IS DISTINCT FROM 'error' AND ($model IS NULL OR model_id = $model)
  AND ($source IS NULL OR coalesce(source, '') = $source)
GROUP BY ALL
