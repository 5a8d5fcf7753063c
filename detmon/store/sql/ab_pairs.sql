-- Images that both models saw, with each model's sums; the slot is the one in which the second answer came.
SELECT min(unit) AS unit, max(slot) AS slot, {sums}
FROM ({rows}) GROUP BY image_id HAVING bool_or(b) AND NOT bool_and(b) ORDER BY image_id
