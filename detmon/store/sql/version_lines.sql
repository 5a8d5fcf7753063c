-- The canonical line of each item: what a version's digest is taken of. Sides are in thousandths of a pixel, times in
-- microseconds since 1970.
SELECT CAST(to_json({image_id: image_id, image_uri: image_uri, source: source, taken_at: epoch_us(taken_at),
  width: image_width, height: image_height, split: split, annotations: list_transform(annotations, lambda a: {
    label: a.label, x: CAST(round(a.x * 1000) AS BIGINT), y: CAST(round(a.y * 1000) AS BIGINT),
    w: CAST(round(a.w * 1000) AS BIGINT), h: CAST(round(a.h * 1000) AS BIGINT)})}) AS VARCHAR) AS line
FROM version_items WHERE version_id = $version ORDER BY line
