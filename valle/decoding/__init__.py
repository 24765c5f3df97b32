"""How each phase is decoded: one file a phase, each a generator of Steps."""
