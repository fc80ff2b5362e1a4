"""People and their signals: the cohort type, the simulator, and the loaders."""
