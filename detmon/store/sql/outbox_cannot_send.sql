UPDATE outbox SET last_error = $last_error WHERE target = $target AND status = 'queued'
