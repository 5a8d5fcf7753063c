-- What makes the record that rows belong to, as a number; rows that do not say which image they are of stand alone.
SELECT
    CASE WHEN prediction_id IS NULL THEN hash(model_id, source, image_id, "timestamp") ELSE hash(prediction_id) END
        AS record
FROM runs
WHERE prediction_id IS NOT NULL OR image_id IS NOT NULL
