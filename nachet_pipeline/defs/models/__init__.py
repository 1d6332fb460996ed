"""Models: what versions of them say of pictures, how good they are, and whether that changes."""
