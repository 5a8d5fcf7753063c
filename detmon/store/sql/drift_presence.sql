-- In how many pieces each source has an ok row.
SELECT source, count(DISTINCT piece) FROM ({rows}) GROUP BY ALL
