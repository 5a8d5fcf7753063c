-- All histograms of a model, over all time.
SELECT kind, bin, sum(n)::BIGINT FROM rollup_histograms WHERE model_id = $model GROUP BY ALL ORDER BY kind, bin
