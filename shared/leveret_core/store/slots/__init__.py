"""Slots and concurrency queues."""
