UPDATE feedback SET waiting = false, detection = NULL, detection_index = r.detection_index, model_id = r.model_id,
  predicted_at = r.predicted_at, label = r.label, confidence = r.confidence
FROM resolved r WHERE feedback.waiting AND feedback.seq = r.n AND r.fault IS NULL
