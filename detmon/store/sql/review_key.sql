-- A label of each image that has a review; the braces take constants of detmon.metrics, never values.
SELECT {key} FROM review_images ORDER BY image
