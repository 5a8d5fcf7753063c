-- All comparisons, newest first.
SELECT id, name, model_a_id, model_b_id, config, starts_at, stopped_at, expected_units, assigned, created_at
FROM ab_tests ORDER BY created_at DESC, id
