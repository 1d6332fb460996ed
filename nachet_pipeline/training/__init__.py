"""Training sets: from stored pictures to what a trainer reads."""
