"""Sessions as files that other programs and other people can use."""
