"""Attempts: claimed, reported, ended, lost and tried again."""
