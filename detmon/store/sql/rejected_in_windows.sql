-- Records read and refused by the batches loaded in each window, of the whole store.
WITH windows AS (SELECT unnest($starts) AS window_start, unnest($ends) AS window_end)
SELECT window_start, window_end, sum(n_rejected) / sum(n_read) AS rejected_rate, sum(n_read)::BIGINT AS n
FROM windows JOIN batches ON loaded_at >= window_start AND loaded_at < window_end
GROUP BY ALL
