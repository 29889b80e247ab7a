"""What nothing is responsible for."""
