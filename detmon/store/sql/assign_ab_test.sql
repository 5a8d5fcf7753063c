-- From now on routers were told by the hash where units go.
UPDATE ab_tests SET assigned = true WHERE id = $id
