"""The group `training`: training sets."""
