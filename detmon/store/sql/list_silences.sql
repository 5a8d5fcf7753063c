SELECT silence_id, matchers, starts_at, ends_at, author, comment FROM alert_silences WHERE kind = 'silence'
ORDER BY starts_at, silence_id
