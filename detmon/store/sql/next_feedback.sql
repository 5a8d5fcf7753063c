-- The first of `n` numbers in a row.
SELECT coalesce(min(number), 0) FROM (SELECT nextval('feedback_seq') AS number FROM range($n))
