"""Pictures: decoding them safely, and what they look like at a glance."""
