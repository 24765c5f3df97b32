"""Sessions: the file that a take can be made again from, its journal, its replay and its comparison."""
