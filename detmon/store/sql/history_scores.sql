SELECT bin, sum(n)::BIGINT FROM rollup_histograms
WHERE kind = 'confidence' AND model_id = $model_id AND hour BETWEEN $start AND $end GROUP BY bin
