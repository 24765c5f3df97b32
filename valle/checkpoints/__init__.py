"""Model files: our own format, and the reader of the reference's."""
