"""What asks this process to end, Ctrl-C, SIGTERM or a closed terminal, as one exception that leaves all in order."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from capacity.clock import monotonic_s

ASKS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_S = 1.0  # until then another signal is the same wish: a group and its parent may both send one
SOON_S = 0.05


class Interrupted(BaseException):
    """This process was asked to end by the signal `number`; no library takes it for an error of its own."""

    def __init__(self, number: int, said: str = "interrupted") -> None:
        super().__init__(said)
        self.number = number

    @property
    def exit_code(self) -> int:
        """As a shell has it of what a signal ended: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.number


class _Asked:
    """The handler of the signals: raises Interrupted where the main thread is, once for each wish."""

    def __init__(self) -> None:
        self._last_s = -AGAIN_S
        self._unraisable = sys.unraisablehook

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if monotonic_s() - self._last_s >= AGAIN_S:
            self._last_s = monotonic_s()
            raise Interrupted(number)

    def swallowed(self, given: Any) -> None:
        """Python lets nothing out of some places, as the end of an object: then it is asked again, and not shown."""
        if not isinstance(given.exc_value, Interrupted):
            self._unraisable(given)
            return
        self._last_s = -AGAIN_S
        again = threading.Timer(SOON_S, os.kill, (os.getpid(), given.exc_value.number))
        again.daemon = True
        again.start()


def end_when_asked() -> None:
    """From now on what asks this process to end raises Interrupted; what its parent had ignored stays so."""
    asked = _Asked()
    sys.unraisablehook = asked.swallowed
    for each in ASKS:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, asked)


def end_without_a_word(ignoring: bool = False) -> None:
    """From now on a signal ends this process at once, or not at all: it is about to end."""
    for each in ASKS:
        signal.signal(each, signal.SIG_IGN if ignoring else signal.SIG_DFL)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """What asks this process to end meanwhile comes at the end of the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {each: handler for each in ASKS if (handler := signal.getsignal(each)) is not None}
    for each in before:
        signal.signal(each, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        for number in came[:1]:
            signal.raise_signal(number)
