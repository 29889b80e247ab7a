"""Rate limits by the value of a key, and their queues."""
