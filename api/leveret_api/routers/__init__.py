"""REST: thin translations between HTTP and the store."""
