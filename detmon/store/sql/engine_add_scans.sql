-- What a run scanned; the same stretch again only changes when.
INSERT INTO engine_scans(engine_id, batch_id, revision, first, last, scanned, flagged, again, scanned_at)
SELECT $engine, unnest($batches), $revision, unnest($firsts), unnest($lasts), unnest($scanned), unnest($flagged), $again,
  $now
ON CONFLICT DO UPDATE SET scanned = excluded.scanned, flagged = engine_scans.flagged + excluded.flagged,
  again = engine_scans.again AND excluded.again, scanned_at = excluded.scanned_at
