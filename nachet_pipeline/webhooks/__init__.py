"""Webhooks: programs that are told of events, in the form of Standard Webhooks (https://www.standardwebhooks.com)."""
