-- The rows of `unresolved` that contradict their prediction.
SELECT n AS line, r.fault.field AS field, r.fault.code AS code, r.fault.reason AS reason,
  CAST(to_json({prediction_id: prediction_id, detection_index: detection, feedback_type: type, true_label: true_label,
    scope: scope, reviewer: reviewer, feedback_id: feedback_id}) AS VARCHAR) AS raw
FROM resolved r JOIN unresolved u USING (n) WHERE r.fault IS NOT NULL ORDER BY n
