"""How far each ingestor has read."""
