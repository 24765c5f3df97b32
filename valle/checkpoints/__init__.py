"""Model files: our own, those of the reference, Hugging Face folders, and the hub."""
