UPDATE target_health SET retry_at = NULL WHERE target = $target
