"""Runs planned for later, and their admission."""
