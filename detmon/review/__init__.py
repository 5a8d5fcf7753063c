"""Reviews: items out to people and their tools, verdicts back in (docs/review.md)."""
