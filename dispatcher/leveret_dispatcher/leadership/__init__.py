"""Who dispatches: the lock, the term and its candidates."""
