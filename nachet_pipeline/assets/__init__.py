"""The assets, in the order data flows: thin, they call the core and yield its events."""
