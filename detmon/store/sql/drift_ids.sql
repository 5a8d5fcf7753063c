SELECT ts, prediction_id FROM predictions WHERE ts >= $start AND ts <= $end
