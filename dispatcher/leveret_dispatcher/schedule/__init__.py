"""What is due: ticks, planned runs and backfills."""
