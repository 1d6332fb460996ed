"""The groups of commands of `nachet`."""
