-- Confidences of both models in the whole hours of a time, from the rollups, in 1000 bins.
SELECT model_id = $b AS b, bin, sum(n) AS n FROM rollup_histograms
WHERE model_id IN ($a, $b) AND kind = 'confidence' AND hour >= $start AND hour + INTERVAL 1 HOUR <= $until
GROUP BY ALL ORDER BY ALL
