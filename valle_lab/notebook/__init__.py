"""The lab for notebooks and scripts: `from valle_lab import Lab`."""
