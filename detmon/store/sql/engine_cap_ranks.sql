-- One stage of a budget: each selected prediction's group, its bucket of this stage, and the cut of a group that has one.
CREATE OR REPLACE TEMP TABLE ranked AS
SELECT s.*, c.tau AS known_tau, c.cut AS known_cut,
  row_number() OVER (PARTITION BY s.group_key ORDER BY s.v, s.prediction_id) AS place
FROM (SELECT *, {group} AS group_key, {bucket} AS v FROM selected) AS s
LEFT JOIN engine_caps c ON c.engine_id = $engine AND c.stage = $stage AND c.group_key = s.group_key
