"""The folder contract: what an uploader may send, and what is said about it. Reads, never writes."""
