-- Whether the target has heard the end of all that a notice would tell it now.
SELECT coalesce(bool_and(EXISTS (
  SELECT 1
  FROM outbox_items later JOIN outbox o ON o.notice_id = later.notice_id
  WHERE later.episode_id = mine.episode_id AND o.target = $target AND o.status = 'sent'
    AND later.kind IN ('resolved', 'closed', 'missed', 'no_data_resolved', 'error_resolved')
)), false)
FROM outbox_items mine
WHERE mine.notice_id = $notice_id
