-- Whether a prediction is selected twice (a log may hold it in two batches).
SELECT count(*) > count(DISTINCT prediction_id) FROM selected
