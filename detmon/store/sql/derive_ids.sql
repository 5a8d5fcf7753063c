-- The ids of predictions that were logged without one (docs/formats.md): 128 bits of sha256 over what identifies them.
SELECT coalesce(prediction_id, substr(sha256(concat_ws(chr(31), model_id, coalesce(source, ''), image_id,
  strftime(ts, '%Y-%m-%d %H:%M:%S.%f'))), 1, 32)) AS prediction_id
FROM part
