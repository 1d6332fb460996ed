"""Predictions: which version of a model said what of which content."""
