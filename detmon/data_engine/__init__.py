"""Which images people should look at, and how likely each was to be chosen."""
