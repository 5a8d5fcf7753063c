SELECT * FROM drawn d SEMI JOIN stretches s ON s.batch_id = d.batch_id AND d.ts >= s.first AND d.ts < s.last
