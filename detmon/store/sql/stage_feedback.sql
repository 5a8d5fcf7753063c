-- The rows of a file (`given`, all text) as verdicts, each with the first reason why it is none. `repeated`: its id stands
-- in an earlier row. An id that is not given is derived from all fields and the occurrence among equal rows.
CREATE TABLE staged AS
WITH texts AS (  -- an empty text says as little as none
  SELECT line, nullif(prediction_id, '') AS prediction_id, nullif(true_label, '') AS true_label,
    nullif(reviewer, '') AS reviewer, nullif(feedback_id, '') AS feedback_id, nullif(trim("timestamp"), '') AS stamp,
    CASE WHEN lower(trim(detection_index)) NOT IN ('', 'nan') THEN trim(detection_index) END AS place,
    nullif(lower(trim(feedback_type)), '') AS type, nullif(lower(trim(scope)), '') AS scope, nullif(trim(bbox), '') AS box
  FROM given),
cells AS (
  SELECT * REPLACE (coalesce(scope, 'boxes_only') AS scope, replace(box, '''', '"') AS box),
    regexp_replace(place, '^(\d+)\.0+$', '\1') AS detection, TRY_CAST(stamp AS DOUBLE) AS epoch
  FROM texts),
read AS (
  SELECT *,
    CASE
      WHEN epoch >= 1e18 AND epoch < 9e18 THEN make_timestamp(CAST(epoch / 1e3 AS BIGINT))
      WHEN epoch >= 1e15 AND epoch < 1e17 THEN make_timestamp(CAST(epoch AS BIGINT))
      WHEN epoch >= 1e12 AND epoch < 1e14 THEN make_timestamp(CAST(epoch * 1e3 AS BIGINT))
      WHEN epoch >= 1e9 AND epoch < 1e11 THEN make_timestamp(CAST(epoch * 1e6 AS BIGINT))
      ELSE CAST(TRY_CAST(stamp AS TIMESTAMPTZ) AS TIMESTAMP) END AS instant,
    CASE
      WHEN NOT starts_with(box, '{') THEN TRY_CAST('[' || trim(box, '[]() ') || ']' AS DOUBLE[])
      WHEN json_valid(box) THEN TRY_CAST([box ->> '$.x', box ->> '$.y', box ->> '$.w', box ->> '$.h'] AS DOUBLE[])
      END AS sides
  FROM cells),
keyed AS (
  SELECT *, coalesce(feedback_id, sha256(concat_ws(chr(31), prediction_id, coalesce(detection, ''), type,
    coalesce(true_label, ''), coalesce(CAST(sides AS VARCHAR), ''), coalesce(reviewer, ''), scope,
    coalesce(CAST(instant AS VARCHAR), '')))) AS content
  FROM read),
counted AS (
  SELECT *, row_number() OVER (PARTITION BY feedback_id IS NULL, content ORDER BY line) AS occurrence FROM keyed),
judged AS (
  SELECT *, CASE
    WHEN prediction_id IS NULL THEN {field: 'prediction_id', code: 'missing_field', reason: 'no `prediction_id`'}
    WHEN type IS NULL THEN {field: 'feedback_type', code: 'missing_field', reason: 'no `feedback_type`'}
    WHEN NOT list_contains($types, type) THEN {field: 'feedback_type', code: 'unknown_type',
      reason: '"' || left(type, 40) || '" is none of ' || array_to_string($types, ', ')}
    WHEN NOT list_contains($scopes, scope) THEN {field: 'scope', code: 'unknown_scope',
      reason: '"' || left(scope, 40) || '" is none of ' || array_to_string($scopes, ', ')}
    WHEN length(prediction_id) > 512 OR regexp_matches(prediction_id, '[[:cntrl:]\x{80}-\x{9f}]')
      THEN {field: 'prediction_id', code: 'bad_text', reason: '`prediction_id` is too long, or has control characters'}
    WHEN length(true_label) > 512 OR regexp_matches(true_label, '[[:cntrl:]\x{80}-\x{9f}]')
      THEN {field: 'true_label', code: 'bad_text', reason: '`true_label` is too long, or has control characters'}
    WHEN length(reviewer) > 512 OR regexp_matches(reviewer, '[[:cntrl:]\x{80}-\x{9f}]')
      THEN {field: 'reviewer', code: 'bad_text', reason: '`reviewer` is too long, or has control characters'}
    WHEN length(feedback_id) > 512 OR regexp_matches(feedback_id, '[[:cntrl:]\x{80}-\x{9f}]')
      THEN {field: 'feedback_id', code: 'bad_text', reason: '`feedback_id` is too long, or has control characters'}
    WHEN detection IS NOT NULL AND type = 'missed_object' THEN {field: 'detection_index', code: 'missed_has_detection',
      reason: 'a missed object has no detection'}
    WHEN stamp IS NOT NULL AND instant IS NULL
      THEN {field: 'timestamp', code: 'bad_time', reason: '"' || left(stamp, 40) || '" is not a time'}
    WHEN instant < TIMESTAMP '2000-01-01' OR instant > $now + INTERVAL 1 DAY
      THEN {field: 'timestamp', code: 'time_range', reason: CAST(instant AS VARCHAR) || ' is out of range'}
    WHEN box IS NOT NULL AND NOT coalesce(array_length(sides) = 4 AND array_length(list_filter(sides, lambda s:
      s IS NOT NULL AND isfinite(s))) = 4 AND sides[3] > 0 AND sides[4] > 0, false)
      THEN {field: 'bbox', code: 'bad_box', reason: '"' || left(box, 40) || '" is not a box [x, y, width, height]'}
    END AS fault
  FROM counted)
SELECT line, coalesce(feedback_id, substr(sha256(content || chr(31) || occurrence), 1, 32)) AS feedback_id,
  prediction_id, detection, type, true_label, CAST(sides[1] AS FLOAT) AS x, CAST(sides[2] AS FLOAT) AS y,
  CAST(sides[3] AS FLOAT) AS w, CAST(sides[4] AS FLOAT) AS h, scope, reviewer, $origin AS origin,
  CAST(NULL AS VARCHAR) AS tide, CAST(NULL AS VARCHAR) AS reason, coalesce(instant, $now) AS ts,
  feedback_id IS NOT NULL AND occurrence > 1 AS repeated,
  instant IS NOT NULL AND epoch IS NULL AND NOT regexp_matches(stamp, '(?i)(Z|[0-9][+-]\d\d(:?\d\d)?)$') AS zoneless,
  fault.field AS field, fault.code AS code, fault.reason AS fault
FROM judged
