"""How a handler runs: its call, its thread or process, its interruption, its log records, and what lifespans share."""
