-- Boxes by area bin in whole hours.
SELECT bin, CAST(sum(n) AS BIGINT) AS n FROM rollup_histograms
WHERE model_id = $model AND kind = 'area' AND hour >= $start AND hour < $end GROUP BY bin ORDER BY bin
