"""What is lost, past its time or without an owner."""
