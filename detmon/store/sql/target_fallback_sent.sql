UPDATE target_health SET fallback_sent_at = $time WHERE target = $target
