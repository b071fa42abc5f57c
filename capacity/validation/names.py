"""Names that a user gave: lists of them, and what is said of one that there is not."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from capacity.errors import CapacityError

SHOWN = 20  # names; more than that nobody reads through
ALIKE = 0.7  # of the letters of two names: 'wieght' is taken for weight, and 'mainframe' for nothing

# Findings that were called otherwise, and why: what they gave was not what they were called.
KERNEL = "the kernel's page cache may answer it; what the device took is"
FORMER = {
    "database.disk_read": f"is called database.read_wait now, since {KERNEL} database.device_read",
    "database.disk_write": f"is called database.write_wait now, since {KERNEL} database.device_write",
    "database.disk_operations": "is called database.kernel_operations now, since the kernel's page cache may answer "
    "them; what the device did is database.device_operations",
    "database.disk_throughput": "is called database.kernel_throughput now, since the kernel's page cache may answer "
    "it; what went to the device is database.device_throughput",
}


def did_you_mean(name: Any, known: Iterable[Any]) -> str:
    """What is added to a sentence on an unknown name: the known one that is spelt nearly so; empty where none is."""
    like = get_close_matches(str(name).lower(), by_lower := {str(each).lower(): each for each in known}, 1, ALIKE)
    return f"; did you mean {by_lower[like[0]]!r}?" if like else ""


def instead(name: Any, known: Iterable[Any]) -> str:
    """What is added to a sentence on an unknown name: the one that was meant, else those that are accepted."""
    accepted = list(known)
    more = f", … ({len(accepted)} in all)" if len(accepted) > SHOWN else ""
    there = f"{', '.join(map(str, accepted[:SHOWN]))}{more}" or "none"
    return did_you_mean(name, accepted) or f"; accepted are {there}"


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
        raise CapacityError(f"there is no {what} {unknown[0]!r}{instead(unknown[0], known)}")
    return [name for name in known if name in names]
