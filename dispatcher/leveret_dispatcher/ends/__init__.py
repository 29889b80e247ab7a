"""What workers report: logs, progress and the ends of attempts."""
