"""Dead events: what workers sent and could not be applied."""
