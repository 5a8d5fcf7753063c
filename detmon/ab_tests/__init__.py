"""Comparisons of two models on live traffic, or of a shadow on the same images, that may be looked at every day."""
