"""The group `uploads`: a staged folder, from found to imported."""
