"""Dead letters: occurrences that failed for good."""
