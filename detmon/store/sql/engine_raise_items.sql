-- Items that were selected before: their probability and their reasons only grow.
UPDATE items SET inclusion_probability = greatest(coalesce(items.inclusion_probability, 0), c.probability),
  reasons = list_concat(items.reasons, list_filter(c.reasons, lambda r: NOT list_contains(items.reasons, r))),
  estimable = true, updated_at = $now
FROM chosen c WHERE items.item_id = c.item_id
  AND (items.inclusion_probability IS NULL OR items.inclusion_probability < c.probability
    OR NOT list_has_all(items.reasons, c.reasons))
