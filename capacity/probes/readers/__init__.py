"""What reads the own figures of a part of the system: each gives a function that reads them, and the part's facts."""

from collections.abc import Callable

Reader = Callable[[], dict[str, float]]
TIMEOUT_S = 5
