"""Jobs, which are groups of runs, on executors, and a store of finished runs."""
