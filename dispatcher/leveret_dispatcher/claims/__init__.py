"""Who may run what: workers' requests and their answers."""
