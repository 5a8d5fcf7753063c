-- The boxes of the pairs that are compared, from both sides.
CREATE OR REPLACE TEMP TABLE boxes AS
SELECT * FROM (
  SELECT pair, theirs, n, d.label AS label, CAST(d.x AS DOUBLE) AS x, CAST(d.y AS DOUBLE) AS y, CAST(d.w AS DOUBLE) AS w,
    CAST(d.h AS DOUBLE) AS h, CAST(d.confidence AS DOUBLE) AS confidence
  FROM (
    SELECT k.pair, false AS theirs, unnest(p.detections) AS d, unnest(range(array_length(p.detections))) AS n
    FROM partners k JOIN predictions p ON p.batch_id = k.batch_id AND p.ts = k.ts AND p.prediction_id = k.prediction_id
    UNION ALL
    SELECT k.pair, true, unnest(p.detections), unnest(range(array_length(p.detections)))
    FROM partners k JOIN predictions p ON p.batch_id = k.their_batch AND p.ts = k.their_ts AND p.prediction_id = k.theirs))
WHERE x IS NOT NULL AND (confidence IS NULL OR confidence >= $lowest)
