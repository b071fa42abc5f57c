"""When each operation is due, and which one it is: drawn ahead from the workload's seed, without a clock."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from capacity.shape import Shape
from capacity.units import NS_PER_S
from capacity.workload import Workload

CHUNK = 2048  # arrivals drawn at a time: about 0.1 ms, so that the loop is never held up

Arrival = tuple[int, int, int, int]  # seq, scheduled_ns, operation, step


class SentBefore(tuple[int, int, int, int]):
    """An arrival that a connection had not taken: when it was sent first, what was, and for what reason in vain."""

    sent: int
    request: object
    reason: str


@dataclass(frozen=True, slots=True)
class Schedule:
    """The arrivals of one workload and shape, or the share of one of `shards` generator processes."""

    workload: Workload
    shape: Shape
    index: int = 0
    shards: int = 1

    def shard(self, index: int, shards: int) -> "Schedule":
        """Every `shards`-th arrival (or user) from number `index`: all shards together are the whole schedule."""
        return replace(self, index=index, shards=shards)

    def arrivals(self, origin_ns: int = 0) -> Iterator[Arrival]:
        """The open-loop arrivals in time order from that moment, as (seq, scheduled_ns, operation, step)."""
        times, chosen = self._times(), self._choices()
        seq = 0
        for number, due in enumerate(times):
            operation = next(chosen)
            mine = (np.arange(len(due)) + number * CHUNK) % self.shards == self.index
            due_ns = (due[mine] * NS_PER_S).astype(np.int64) + origin_ns
            yield from zip(
                range(seq, seq + len(due_ns)),
                due_ns.tolist(),
                operation[: len(due)][mine].tolist(),
                self.shape.step_at(due[mine]).tolist(),
                strict=True,
            )
            seq += len(due_ns)

    def operations(self) -> Iterator[int]:
        """The endless sequence of operations for a closed loop; shards draw from streams of their own."""
        return itertools.chain.from_iterable(chunk.tolist() for chunk in self._choices(stream=self.index))

    def think_times_ns(self) -> Iterator[int]:
        """The endless sequence of exponential think times in nanoseconds."""
        draw = self._generator(2, self.index)
        while True:
            yield from (draw.exponential(self.shape.think_ms * 1e6, CHUNK)).astype(np.int64).tolist()

    def user_changes(self) -> list[tuple[int, int]]:
        """When a user of this shard comes (+1) or goes (−1), as (nanoseconds, change) in time order."""
        mine = (each for each in self.shape.user_changes() if each[1] % self.shards == self.index)
        return [(int(at * NS_PER_S), change) for at, _, change in mine]

    def _times(self) -> Iterator[NDArray[np.float64]]:
        """Arrival times in seconds, a chunk at a time: points of rate 1, bent by the inverse of the cumulative rate."""
        draw = self._generator(0)
        expected = self.shape.expected()
        last = 0.0
        while True:
            if self.shape.arrivals == "poisson":
                points = last + np.cumsum(draw.exponential(1.0, CHUNK))
            else:
                points = last + np.arange(1, CHUNK + 1, dtype=np.float64)
            last = float(points[-1])
            inside = points[points <= expected[-1] + 1e-9]
            yield self.shape.times_of(inside, expected)
            if len(inside) < CHUNK:
                return

    def _choices(self, stream: int = 0) -> Iterator[NDArray[np.int64]]:
        """Operation codes, a chunk at a time, by weight or in turn."""
        if self.workload.order == "cycle":
            yield from self._turns()
        draw = self._generator(1, stream)
        bounds = np.cumsum([operation.weight for operation in self.workload.operations])
        bounds = bounds / bounds[-1]
        while True:
            yield np.minimum(np.searchsorted(bounds, draw.random(CHUNK), side="right"), len(bounds) - 1)

    def _turns(self) -> Iterator[NDArray[np.int64]]:
        """Operation codes in turn, forwards and backwards, going on across chunks."""
        count = len(self.workload.operations)
        turn = np.concatenate([np.arange(count), np.arange(count)[::-1]])
        for number in itertools.count():
            yield turn[(np.arange(CHUNK) + number * CHUNK) % len(turn)]

    def _generator(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng([self.workload.seed, *stream])
