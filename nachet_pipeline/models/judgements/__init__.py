"""Judgements: what people say of predictions, crops and pictures, and what it comes to."""
