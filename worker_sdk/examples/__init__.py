"""Examples: `leveret dev examples.app` runs them."""
