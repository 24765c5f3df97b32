"""The laboratory: a terminal app, a command line and sessions over the engine."""
