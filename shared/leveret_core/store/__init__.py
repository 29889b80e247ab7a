"""Postgres: the only authority, and the only place that names SQL.

A folder for each aggregate, with its `.sql` files, one statement each, beside the modules that run them; numbered migrations
under `migrations/`.
"""
