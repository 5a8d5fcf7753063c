-- An alias belongs to one model of the given names.
UPDATE models SET aliases = CASE WHEN id = $id
    THEN list_sort(list_distinct(list_append(coalesce(aliases, []), $alias)))
    ELSE list_filter(coalesce(aliases, []), lambda one: one <> $alias) END
WHERE id = $id OR name IN (SELECT unnest($names))
