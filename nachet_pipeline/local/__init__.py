"""The services on this machine: embedded PostgreSQL and Azurite, their supervisor, sample uploads."""
