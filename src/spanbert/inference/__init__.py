"""Documents in, documents out. Task-blind."""
