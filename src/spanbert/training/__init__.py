"""One task-blind loop that trains everything."""
