-- In how many places each source has an ok row.
SELECT source, count(DISTINCT place) FROM ({rows}) GROUP BY ALL
