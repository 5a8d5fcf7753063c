-- Canonical Parquet, read where it lies, under the names of the store. The braces take constants of
-- detmon.drift.parquet. Ids are derived as ingest derives them.
CREATE VIEW predictions AS
SELECT *, array_length(detections) AS n_detections, list_count(confidences) AS confidence_n,
  coalesce(list_sum(list_transform(confidences, lambda c: round(CAST(c AS DOUBLE) * 1e6))), 0) / 1e6 AS confidence_sum,
  coalesce(logged_id, substr(sha256(concat_ws(
    chr(31), model_id, coalesce(source, ''), image_id, strftime(ts, '%Y-%m-%d %H:%M:%S.%f'))), 1, 32)) AS prediction_id
FROM (
  SELECT {prediction_id} AS logged_id, model_id, timestamp AT TIME ZONE 'UTC' AS ts, image_id, {source} AS source,
    {status} AS status, {confidence_floor} AS confidence_floor, {tags} AS tags, {detections} AS detections,
    list_transform(detections, lambda d: CAST(d.confidence AS FLOAT)) AS confidences, 1 AS batch_id
  FROM log)
