-- The ids of a batch as numbers: equal ids have equal ones, different ids hardly ever.
SELECT hash(prediction_id) AS hash FROM staged
