"""Blob storage: its layout of names, and moving pictures into it."""
