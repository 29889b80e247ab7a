"""The fence row: which dispatcher holds the term."""
