"""Statistics: pure functions on small arrays, without a database, a terminal or a clock.

Every function names the source of its formula. This package is the only home of scipy, of which it uses `scipy.special`
and single functions of `scipy.optimize`: importing `scipy.stats` costs as much as starting DuckDB seven times. No
random numbers, survival functions instead of `1 - cdf`, and nothing that depends on the order of rows.
"""
