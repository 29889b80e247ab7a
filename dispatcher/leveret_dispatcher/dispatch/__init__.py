"""What goes to the broker, at first and again."""
