INSERT OR REPLACE INTO baselines(model_id, period_start, period_end, period, metrics, created_at)
VALUES ($model, $start, $end, $period, $metrics, $now)
