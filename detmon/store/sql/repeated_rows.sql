-- Rows of the batch whose id an earlier row of it has; `same`: with the same content as the first one.
WITH repeated AS (SELECT prediction_id FROM staged GROUP BY prediction_id HAVING count(*) > 1)
SELECT n, n_detections = first_value(n_detections) OVER w AND confidence_sum = first_value(confidence_sum) OVER w AS same
FROM staged JOIN repeated USING (prediction_id)
WINDOW w AS (PARTITION BY prediction_id ORDER BY n)
QUALIFY row_number() OVER w > 1
