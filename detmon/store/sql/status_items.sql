SELECT status, count(*) FROM item_states GROUP BY status
