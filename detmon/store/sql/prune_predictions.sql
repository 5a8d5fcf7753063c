DELETE FROM predictions WHERE ts < $before
