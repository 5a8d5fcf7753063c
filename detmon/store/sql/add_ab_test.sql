-- A new comparison of two models.
INSERT INTO ab_tests(id, name, model_a_id, model_b_id, config, starts_at, expected_units, assigned, created_at)
VALUES ($id, $name, $model_a, $model_b, $config, $start, $expected_units, false, $now)
