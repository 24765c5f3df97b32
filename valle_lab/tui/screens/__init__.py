"""Screens of the lab, one a file."""
