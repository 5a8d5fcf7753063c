-- Canonical records of a JSON Lines file, boxes as objects {x, y, w, h}. Texts stay texts, times too: their zones must not get lost.
SELECT *
FROM read_json(
  $file,
  format = 'newline_delimited',
  maximum_object_size = 16777217,
  columns = {
    prediction_id: 'VARCHAR', model_id: 'VARCHAR', timestamp: 'VARCHAR', image_id: 'VARCHAR', image_uri: 'VARCHAR',
    image_width: 'DOUBLE', image_height: 'DOUBLE', source: 'VARCHAR', latency_ms: 'DOUBLE', status: 'VARCHAR',
    confidence_floor: 'DOUBLE', tags: 'MAP(VARCHAR, VARCHAR)',
    detections: 'STRUCT(label VARCHAR, confidence DOUBLE, bbox STRUCT(x DOUBLE, y DOUBLE, w DOUBLE, h DOUBLE), detection_id VARCHAR, track_id VARCHAR)[]'
  })
