SELECT model_id, period_end FROM baselines
