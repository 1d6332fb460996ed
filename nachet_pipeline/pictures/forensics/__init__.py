"""Walking the bytes of a picture's file: its structure, and what hides in it."""
