-- What only the demo knows: which boxes are right (detmon.demo.is_right), and in how many images somebody was missed.
WITH boxes AS (
  SELECT CAST('0x' || substr(sha256('right:' || prediction_id || ':' || detection_index), 1, 13) AS BIGINT)
      / 4503599627370496.0
    < 1 / (1 + pow((1 - CAST(confidence AS DOUBLE)) / confidence, 1.1) * exp(0.5)) AS correct
  FROM detections),
images AS (
  SELECT CAST('0x' || substr(sha256('missed:' || prediction_id), 1, 13) AS BIGINT) / 4503599627370496.0 < $missed AS missed
  FROM predictions)
SELECT count(*) FILTER (WHERE correct), count(*), (SELECT count(*) FILTER (WHERE missed) FROM images) FROM boxes
