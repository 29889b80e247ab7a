"""What runs on one machine with nothing to install: development mode, embedded Postgres, private servers."""
