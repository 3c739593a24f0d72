"""Training: a run from its config to its folder, its Lightning module, its loggers, and resuming."""
