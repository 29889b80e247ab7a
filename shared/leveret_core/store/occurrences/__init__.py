"""Occurrences: created, triggered, cancelled and requeued."""
