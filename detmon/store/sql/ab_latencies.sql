-- Latencies by bucket (1.02 to the power of the bucket, in ms, is its upper edge): how many, their sum in microseconds
-- and the sum of squares.
SELECT {keys}, CAST(ceil(ln(greatest(latency / 1e3, 0.001)) / ln(1.02)) AS INTEGER) AS bucket,
  count(*) AS n, CAST(sum(latency) AS DOUBLE) AS s, CAST(sum(latency * latency) AS DOUBLE) AS ss
FROM ({rows}) WHERE latency IS NOT NULL GROUP BY ALL ORDER BY ALL
