-- Units and rows of both models in a time.
SELECT count(DISTINCT unit), count(*) FROM ({rows})
