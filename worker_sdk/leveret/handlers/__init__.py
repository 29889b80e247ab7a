"""What `@job` and `@lifespan` make of functions: their parameters, their schedules, the jobs that they declare."""
