SELECT sum(n), min(bin) FROM rollup_histograms
WHERE kind = 'confidence' AND model_id = $model_id AND hour BETWEEN $start AND $end
