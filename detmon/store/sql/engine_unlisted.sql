-- Which of $batches are of logs that leave out images without detections.
SELECT batch_id FROM batches WHERE denominator = 'unknown' AND batch_id IN (SELECT unnest($batches::INTEGER[]))
