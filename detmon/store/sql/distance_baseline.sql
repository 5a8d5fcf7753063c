-- The period that a model is compared with.
SELECT period_start, period_end FROM baselines WHERE model_id = $model
