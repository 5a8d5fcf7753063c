-- End a comparison before its time.
UPDATE ab_tests SET stopped_at = $now WHERE id = $id
