-- Sums of each arm, slot and source; products are sums over rows, each row a unit.
SELECT b, slot, source, {sums}, min(confidence_floor), max(confidence_floor), bool_or(unknown_denominator)
FROM ({rows}) GROUP BY b, slot, source
