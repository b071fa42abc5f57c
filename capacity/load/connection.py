"""What the engine asks of a connection: two methods, and two ways to fail."""

from typing import Protocol

PENDING = -1  # receive: the answer is not complete yet
OK = 0
CLOSES = -2  # receive: CLOSES − code is an outcome after which the server ends the connection


class ConnectionLostError(Exception):
    """The server closed the connection, or refused it; its text names the class of failure."""


class Connection(Protocol):
    """One connection to a server: `send` an operation, `receive` its outcome.

    `receive` is called when the descriptor is readable. It returns PENDING, OK, the code of a class of failure, or
    CLOSES less one of the last two. Both raise ConnectionLostError when the connection cannot be used any more.
    Both bind what they call to local names first: Python looks for a function that is called as an attribute of an
    object in the object's class, which takes longer than a call.
    """

    def open(self) -> int:
        """Connect within the time limit and return the descriptor to wait on."""

    def send(self, operation: int) -> None:
        """Send the operation with that code."""

    def receive(self) -> int:
        """Read what has arrived."""

    def close(self) -> None:
        """Close without waiting for the server."""
