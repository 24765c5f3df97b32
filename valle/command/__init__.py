"""``python -m valle``: the command of the reference implementation, with its flags."""
