"""A campaign of faults: three replicas, four workers and sixty jobs on private servers, which are broken again and again.

`stack` starts and restarts the parts, `jobs` is the load, `faults` breaks them, `recovery` waits until work flows again,
`witness` is what the handlers wrote down, `verdict` compares it with Postgres. `make chaos MINUTES=30 SEED=7` runs one.
"""
