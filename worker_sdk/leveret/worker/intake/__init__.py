"""How work comes in: membership and its lease, dispatch messages, free slots, claims."""
