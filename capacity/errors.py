"""The one error that a user sees as a sentence, and lists of names that are read from what a user gave."""

from collections.abc import Iterable
from typing import Any


class CapacityError(Exception):
    """Something the user can put right: its text says what was wrong, what is accepted and what to do.

    The command line prints the text alone and ends with exit code 2.
    """


def listed(given: Any) -> list[str]:
    """The names in a text, apart by commas or spaces as `a,b` or `a b`, or in several such texts."""
    texts = given if isinstance(given, list | tuple) else [given]
    return [name for text in texts for name in str(text).replace(",", " ").split()]


def chosen_names(given: Any, accepted: Iterable[str], what: str) -> list[str]:
    """The names that are given, each once and in the order of those accepted; CapacityError for another one.

    `what` is what they name, as `part`. Raises CapacityError that says which are accepted.
    """
    known, names = list(accepted), listed(given)
    if unknown := [name for name in names if name not in known]:
        raise CapacityError(f"there is no {what} {unknown[0]!r}; accepted are {', '.join(known)}")
    return [name for name in known if name in names]
