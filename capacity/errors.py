"""The one error that a user sees as a sentence."""


class CapacityError(Exception):
    """Something the user can put right: its text says what was wrong, what is accepted and what to do.

    The command line prints the text alone and ends with exit code 2.
    """
