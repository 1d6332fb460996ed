"""Comparing what is staged, what is stored and what the database says, and repairing what is safe to repair."""
