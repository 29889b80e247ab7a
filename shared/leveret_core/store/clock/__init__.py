"""What has to follow when the clock of Postgres was set back, and that clock itself."""
