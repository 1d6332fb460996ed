"""Users: registered with their containers, given upload keys, disabled."""
