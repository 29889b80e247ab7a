"""Dispatch messages: which occurrences workers have been told of."""
