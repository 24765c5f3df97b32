"""Widgets of the lab, one a file; they show the lab's state and hold none of it."""
