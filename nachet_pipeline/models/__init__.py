"""Models: which there are, what they predict, what people judge of it, and how good they are."""
