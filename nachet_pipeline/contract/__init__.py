"""The folder contract: what an uploader may send, and what validation reports. It reads and never writes."""
