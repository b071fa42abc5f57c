"""A queue's stream of events, read on from where it stood, in pieces that take Redis little time."""

import contextlib
from collections.abc import Iterator
from typing import Any

import redis

from capacity.load.bullmq import Queue

# When (ms of Redis' clock), what, of which job, and its fields after these as they stand in the stream.
Event = tuple[int, bytes, bytes, list[bytes]]

START = b"-"
MOST = 500  # entries of a piece: half a millisecond of Redis' time
MOST_BYTES = 262_144  # of a piece: what jobs returned is in their events


class EventStream:
    """Reads the events of a queue that were added since the last reading.

    A queue keeps its last events only, by default about 10,000. The last one that was read is asked for again each
    time: where it is gone, `missed` counts it, since others after it may be gone too.
    """

    def __init__(self, client: redis.Redis, queue: Queue) -> None:
        self._client = client
        self._key = queue.key("events")
        self._most = MOST
        self.missed = 0
        client.set_response_callback("XRANGE", _as_it_came)  # redis-py makes a dict of each entry, which takes longer
        last: Any = client.xrevrange(self._key, count=1)
        self._at: bytes = last[0][0] if last else START

    def read(self) -> Iterator[list[Event]]:
        """The events since the last reading, a piece at a time, none of which is empty."""
        self._bound()
        while True:
            found: Any = self._client.xrange(self._key, self._at, count=self._most + 1)
            whole = len(found) <= self._most
            if self._at != START:
                if found and found[0][0] == self._at:
                    del found[0]
                else:
                    self.missed += 1
                    self._at = START
            if found:
                self._at = found[-1][0]
                yield [_event(*each) for each in found]
            if whole:
                return

    def _bound(self) -> None:
        """Have a piece be as many entries as are not too large; where that may not be asked it stays as it is."""
        pipeline = self._client.pipeline(transaction=False)
        pipeline.xlen(self._key)
        pipeline.memory_usage(self._key)
        with contextlib.suppress(redis.ResponseError):
            entries, size = pipeline.execute()
            self._most = max(1, min(MOST, MOST_BYTES * entries // size if size else MOST))


def _event(number: bytes, fields: list[bytes]) -> Event:
    """BullMQ's scripts name the event first and the job second; an event of a user's own may name no job."""
    job = fields[3] if len(fields) > 3 and fields[2] == b"jobId" else b""
    return int(number.partition(b"-")[0]), fields[1] if len(fields) > 1 else b"", job, fields[4:]


def _as_it_came(reply: Any, **_: Any) -> Any:
    return reply
