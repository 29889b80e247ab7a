"""What `leveret bench` runs and measures."""
