"""Uploads: staged folders, from found to imported."""
