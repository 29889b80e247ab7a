"""Workers: who they are, and what they got wrong."""
