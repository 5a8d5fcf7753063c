"""Which images people should look at, and how likely each was to be chosen.

An engine scans a model's predictions for a dataset. Every prediction has a bucket u in [0, 1), for ever. Each strategy
whose condition it meets offers a rate; the highest is its inclusion probability, and it is selected if u is below it.
So runs repeat without effect, raising a rate only adds items, and estimates can undo what was chosen (docs/engine.md).
"""
