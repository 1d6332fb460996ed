"""Reprocessing: what today's rules and code make of pictures that are stored already."""
