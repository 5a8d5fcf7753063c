-- Sums of each unit, arm and slot; rows without the unit are counted under NULL.
SELECT CAST(unit AS VARCHAR) AS unit, b, slot, {sums} FROM ({rows}) GROUP BY unit, b, slot ORDER BY unit, b, slot
