"""Postgres: the only authority. One `.sql` file a statement under `sql/`, numbered migrations under `migrations/`."""
