"""A frozen training set as files that trainers read."""
