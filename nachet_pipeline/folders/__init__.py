"""Deleting and archiving folders, and bringing them back."""
