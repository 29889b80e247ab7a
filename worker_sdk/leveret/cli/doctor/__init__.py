"""The checks of `leveret doctor`, one module a service."""
