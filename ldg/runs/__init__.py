"""Runs of any age and origin: what their folders say, and which of them are meant."""
