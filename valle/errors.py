"""The one kind of error that is shown to a person as a sentence instead of a traceback."""


class UserError(Exception):
    """Something the user gave cannot be used; the message names the file, key or value and what to do."""
