-- Images by number of detections, a place or source.
SELECT {key} AS key, CAST(least(65, n) AS BIGINT) AS bin, count(*) AS n FROM ({rows}) GROUP BY ALL
