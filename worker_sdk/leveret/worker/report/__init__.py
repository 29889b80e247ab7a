"""What happens when a worker finishes: events, their way to the broker or the disk, and their confirmation."""
