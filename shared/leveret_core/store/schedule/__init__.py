"""Ticks that are due."""
