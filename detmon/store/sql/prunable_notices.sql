-- The notices that may go: ended before $before, and none that told of what is open still, for replies refer to them.
CREATE TEMP TABLE prunable_notices AS
SELECT notice_id FROM outbox
WHERE status IN ('sent', 'merged', 'dropped') AND ended_at < $before AND notice_id NOT IN (
  SELECT o.notice_id FROM outbox_items AS o
  JOIN alert_instances AS i ON o.episode_id IN (i.episode_id, i.health_episode_id))
