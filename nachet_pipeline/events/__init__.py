"""What happens that somebody may wait for: the outbox, and who is told of it."""
