INSERT INTO batches(batch_id, sha256, path, format, bytes, version, n_read, n_ok, n_duplicate, n_rejected, n_detections,
                    ts_min, ts_max, denominator, complete, loaded_at)
VALUES ($batch_id, $sha256, $path, $format, $bytes, $version, $n_read, $n_ok, $n_duplicate, $n_rejected, $n_detections,
        $ts_min, $ts_max, $denominator, $complete, $now)
