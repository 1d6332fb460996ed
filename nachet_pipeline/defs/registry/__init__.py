"""The group `registry`: species and users."""
