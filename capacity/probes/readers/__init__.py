"""What reads the own figures of a part of the system: each gives a function that reads them, and the part's facts."""

from collections.abc import Callable

Reader = Callable[[], dict[str, float]]
TIMEOUT_S = 5
LOOKER = "capacity: who waits for locks"  # the name of its connection, which is not one of the load's
