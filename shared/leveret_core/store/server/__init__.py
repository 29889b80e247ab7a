"""The server of Postgres itself."""
