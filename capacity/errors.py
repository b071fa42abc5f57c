"""The one error that a user sees as a sentence."""

from collections.abc import Sequence


class CapacityError(Exception):
    """Something the user can put right: its text says what was wrong, what is accepted and what to do.

    The command line prints the text alone and ends with exit code 2. Where several things are wrong, `sentences` has
    one for each, and the text is the first and how many there are beside it.
    """

    def __init__(self, text: str, sentences: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.sentences = tuple(sentences) or (text,)


class NothingPlanned(CapacityError):
    """No plan follows from what was measured, for a cause that is no mistake in the plan's own data."""
