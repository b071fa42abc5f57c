"""Load that keeps coming while something is done to the system, and the moments of that on the recording's clock."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from capacity.errors import CapacityError
from capacity.load.engine import clock, unix_ns_of
from capacity.probes.measurement import Measurement, Watcher, measure
from capacity.recording import Recording, open_recording

EARLIEST_S = 1.0  # the load has to be seen running before its moment can be told


@dataclass(frozen=True, slots=True)
class Through:
    """A recording, and when the fault began and ended in ns on its clock."""

    recording: Recording
    begin_ns: int
    end_ns: int


def measure_through(
    measurement: Measurement,
    url: str,
    folder: Path,
    fault: tuple[float, Callable[[], None]],
    watchers: Sequence[Watcher] = (),
    *,
    settle: Callable[[], object] | None = None,
) -> Through:
    """Measure into a new recording in `folder`, and do something meanwhile.

    `fault` is after how many seconds of load it begins, and what applies and lifts it: it lasts as long as the call,
    which is made in a thread of its own. What the call raises is raised here, when the load has ended.
    """
    at_s, apply = fault
    if not EARLIEST_S <= at_s < measurement.shape.seconds:
        raise CapacityError(
            f"a fault after {at_s:g} s cannot be told from the load's begin or end; "
            f"give {EARLIEST_S:g} s or more, and less than the load's {measurement.shape.seconds:g} s"
        )
    span: list[int] = []
    raised: list[BaseException] = []
    timers: list[threading.Timer] = []

    def work() -> None:
        span.append(unix_ns_of(clock()))
        try:
            apply()
        except BaseException as error:
            raised.append(error)
        span.append(unix_ns_of(clock()))

    def progress(done_s: float, planned_s: float) -> None:
        if not timers:
            timers.append(threading.Timer(max(0.0, at_s - done_s), work))
            timers[0].start()

    def ended() -> None:
        for timer in timers:
            timer.join()
        if raised:
            raise raised[0]
        if settle:
            settle()

    try:
        measure(measurement, url, watchers, folder, progress, settle=ended)
    finally:
        for timer in timers:
            timer.cancel()
            timer.join()
    recording = open_recording(folder)
    begin, end = (moment - int(recording.manifest["origin_unix_ns"]) for moment in span)
    return Through(recording, begin, end)


def numbered(samples: pd.DataFrame, first: int = 0) -> pd.DataFrame:
    """The operations that were sent, by their number in the order of sending; of one generator.

    A sequence is drawn as operations are sent, so the n-th that was sent has its n-th number, `first` being the number
    of the first. After a connection is opened again operations may be sent in another order than they were planned in.
    """
    sent = samples[samples["outcome"] != "dropped"].sort_values(["sent_ns", "seq"])
    return sent.set_index(pd.RangeIndex(first, first + len(sent)))


def acknowledged(samples: pd.DataFrame, first: int = 0) -> "pd.Series[bool]":
    """Whether each operation that was sent was acknowledged, by its number as `numbered` has it."""
    return numbered(samples, first)["outcome"] == "ok"
