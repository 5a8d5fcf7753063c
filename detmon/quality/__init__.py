"""How good a model is in production: precision and recall from reviews, with intervals, or against ground truth."""
