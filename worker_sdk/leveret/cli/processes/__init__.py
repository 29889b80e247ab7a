"""What starts and supervises processes: servers, workers, their supervisor, and how they end."""
