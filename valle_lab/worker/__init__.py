"""The model process, what crosses its pipes, its client, and its twin inside the caller's process."""
