"""Rate limits of job types."""
