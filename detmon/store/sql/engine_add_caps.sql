INSERT INTO engine_caps(engine_id, stage, group_key, tau, cut) SELECT $engine, stage, group_key, tau, cut FROM caps
