"""Jobs: their definitions, changes and declarations."""
