"""Jobs of ours that wait in somebody's queue: found by their token, taken out again, and remembered meanwhile.

A hash beside the queue's own keys has the token of each load under way, so that the next start finds what one left that
was killed. A job that a worker has begun is left to it.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import redis

from capacity.clock import wait_until
from capacity.load.bullmq import LOADS, RECORDS, Queue
from capacity.probes.jobs.courses import OWN

TOKEN = re.compile(r"c[0-9a-f]{8}")
DEAD_S = 10.0  # without a sign of life from who watches a load; it gives one ten times a second
PIECE = 1000  # entries read at a time: some tenths of a millisecond of Redis' time
TAKEN = 100  # jobs taken out at a time
REACH = 100_000  # entries that may be looked through at a time: about a millisecond
CLEAR_S = 1.0  # between two looks at what is left
SETS, LISTS = ("delayed", "waiting-children", "prioritized"), ("wait", "paused")  # in the order in which jobs move on
ACTIVE = "active"
# KEYS: the list or set, and the key of each job. ARGV: 0 for a set, else from which end of a list; and each id.
TAKE_OUT = """
local taken, records = {}, {RECORDS}
for place = 2, #KEYS do
  local id, found, from = ARGV[place], 0, ARGV[1]
  if from == '0' then found = redis.call('ZREM', KEYS[1], id) else found = redis.call('LREM', KEYS[1], from, id) end
  if found > 0 then
    local keys = {}
    for number, record in ipairs(records) do keys[number] = KEYS[place] .. record end
    redis.call('UNLINK', unpack(keys))
    taken[#taken + 1] = id
  end
end
return taken
""".replace("RECORDS", ", ".join(map(repr, RECORDS)))


@dataclass(frozen=True, slots=True)
class JobsLeft:
    """Finds and takes out the jobs of a queue whose ids are of `token`."""

    client: redis.Redis
    queue: Queue
    token: str

    def take_out(self) -> Iterator[tuple[str, list[bytes]]]:
        """Take out those that wait, some at a time: the state that they were in and their ids; last those under way."""
        for state in SETS:
            yield from self._of_set(state)
        for state in LISTS:
            yield from self._of_list(state)
        yield from ((ACTIVE, found) for _, found in self._pieces(ACTIVE) if found)

    def remove(self, jobs: Sequence[bytes]) -> None:
        """Remove the records of jobs of ours that are in no state."""
        for start in range(0, len(jobs), TAKEN):
            names = (job.decode() for job in jobs[start : start + TAKEN])
            self.client.unlink(*(self.queue.key(name + part) for name in names for part in RECORDS))

    def is_locked(self, job: bytes) -> bool:
        """Whether a worker has a job."""
        return bool(self.client.exists(self.queue.key(f"{job.decode()}:lock")))

    def gone(self, jobs: Sequence[bytes]) -> Iterator[bytes]:
        """Those of these jobs that the queue has no record of any more."""
        for start in range(0, len(jobs), TAKEN):
            some = jobs[start : start + TAKEN]
            keys = [self.queue.key(job.decode()) for job in some]
            if self.client.exists(*keys) < len(keys):
                yield from (job for job, key in zip(some, keys, strict=True) if not self.client.exists(key))

    def _of_set(self, state: str) -> Iterator[tuple[str, list[bytes]]]:
        pairs = self.client.zscan_iter(self.queue.key(state), match=f"{self.token}-*", count=PIECE)
        found = self._own([job for job, _ in pairs])
        for start in range(0, len(found), TAKEN):
            yield state, self._taken(state, found[start : start + TAKEN], 0)

    def _of_list(self, state: str) -> Iterator[tuple[str, list[bytes]]]:
        """New jobs come in at the head, so that none is passed over from there; what is taken out moves up the rest."""
        start = 0
        while True:
            length, piece = self._piece(state, start)
            found = self._own(piece)
            from_tail = max(0, length - start - len(piece))
            near, end = (start, 1) if start <= from_tail else (from_tail, -1)
            many = max(1, min(TAKEN, REACH // (near + PIECE)))
            in_order = found if end == 1 else found[::-1]
            taken = [
                job for at in range(0, len(found), many) for job in self._taken(state, in_order[at : at + many], end)
            ]
            if taken:
                yield state, taken
            start += len(piece) - len(taken)
            if len(piece) < PIECE:
                return

    def _pieces(self, state: str) -> Iterator[tuple[int, list[bytes]]]:
        start, piece = 0, [b""]
        while piece:
            _, piece = self._piece(state, start)
            yield start, self._own(piece)
            start += len(piece)

    def _piece(self, state: str, start: int) -> tuple[int, list[bytes]]:
        pipeline = self.client.pipeline(transaction=False)
        pipeline.llen(self.queue.key(state))
        pipeline.lrange(self.queue.key(state), start, start + PIECE - 1)
        length, piece = pipeline.execute()
        return length, piece

    def _own(self, jobs: Sequence[bytes]) -> list[bytes]:
        own = re.compile(OWN.format(self.token).encode())
        return [job for job in jobs if own.fullmatch(job)]

    def _taken(self, state: str, jobs: Sequence[bytes], end: int) -> list[bytes]:
        keys = [self.queue.key(state), *(self.queue.key(job.decode()) for job in jobs)]
        taken: Any = self.client.register_script(TAKE_OUT)(keys, [end, *jobs])
        return list(taken)


@dataclass(frozen=True, slots=True)
class WatchedLoad:
    """What Redis holds of a load: when who watches it last said so by Redis' clock, and how many jobs had not ended."""

    at_s: float
    unfinished: int


class Loads:
    """The loads on a queue, by their tokens, in a hash that is there while one is under way or has left something."""

    def __init__(self, client: redis.Redis, queue: Queue) -> None:
        self._client, self._queue = client, queue
        self.key = queue.key(LOADS)

    def all(self) -> dict[str, WatchedLoad]:
        """Those there are; what others wrote there is passed over, and a key of another type is left alone."""
        found: dict[str, WatchedLoad] = {}
        with suppress(redis.ResponseError):
            for token, said in dict[bytes, bytes](self._client.hgetall(self.key)).items():  # type: ignore[arg-type]
                with suppress(ValueError, TypeError, KeyError):
                    if TOKEN.fullmatch(token.decode()):
                        found[token.decode()] = WatchedLoad(**json.loads(said))
        return found

    def now_s(self) -> float:
        """The time by Redis' clock, which the loads on all machines go by."""
        seconds, microseconds = self._client.time()
        return float(seconds) + microseconds / 1e6

    def clear(self) -> None:
        """Take out the jobs that loads have left which nobody watches any more."""
        now_s = self.now_s()
        for token, load in self.all().items():
            if now_s - load.at_s > DEAD_S:
                left = JobsLeft(self._client, self._queue, token)
                if not any(state == ACTIVE for state, _ in left.take_out()):
                    self._client.hdel(self.key, token)

    def settled(self, token: str, since_s: float) -> bool:
        """Whether the jobs of a load have ended, by what who watches it has said since then, or has left."""
        load = self.all().get(token)
        return load is None or (load.at_s > since_s and not load.unfinished)


def text_of(load: WatchedLoad) -> str:
    """A load as it stands in the hash."""
    return json.dumps({"at_s": load.at_s, "unfinished": load.unfinished})


def clear_left_jobs(client: redis.Redis, queue: Queue) -> bool:
    """Take out what loads have left that were killed; whether nothing of ours is left to come.

    One that was killed a moment ago cannot be told from one under way: it is waited for until it can.
    """
    loads = Loads(client, queue)

    def cleared() -> bool:
        loads.clear()
        return not loads.all()

    return wait_until(cleared, DEAD_S + CLEAR_S, CLEAR_S)
