-- Images without a latency were summed as if they had one of 10^12 ms (10^15 us): so many are taken out again -------------
UPDATE rollup_images SET
  latency_n = latency_n - CAST(latency_s // 1000000000000000 AS BIGINT),
  latency_ss = latency_ss - (latency_s // 1000000000000000) * CAST(1000000000000000 AS HUGEINT) * 1000000000000000,
  latency_s = latency_s % 1000000000000000
WHERE latency_s >= 1000000000000000;
