"""Tests that use the UI as people do, in a browser."""
