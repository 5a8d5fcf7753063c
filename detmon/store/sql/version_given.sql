-- Labels that were given, as candidates for a version.
CREATE OR REPLACE TEMP TABLE candidates AS
SELECT item_id, sha256(concat_ws(chr(31), coalesce(source, ''), image_id, place)) AS image_key, image_id, image_uri, source,
  taken_at, image_width, image_height, list_sort(list_transform(annotations, lambda a: {label: a.label,
    x: round(a.x, 3), y: round(a.y, 3), w: round(a.w, 3), h: round(a.h, 3)})) AS annotations, split,
  CASE WHEN split IS NULL THEN coalesce(coalesce(source, '') || chr(31) || strftime(taken_at, '%Y-%m-%d'),
    chr(31) || image_id) END AS split_group,
  CAST(NULL AS VARCHAR) AS prediction_id, CAST(NULL AS VARCHAR) AS model_id, reason, false AS boxes_only
FROM given
