"""Whether a recording's operations are the planned ones, due when planned, and sent as soon as they could be.

A generator that starts its clock at the send, leaves operations out, or sends them in bursts writes a recording that
looks good. The plan can be drawn again from the manifest's workload, and the samples show how late the generator was by
its own fault; so neither is taken from what it says of itself.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from capacity.analysis.measured.latency import p99_ms
from capacity.analysis.measured.validity.problems import Effect, Problem
from capacity.errors import CapacityError
from capacity.load.schedule import Schedule
from capacity.manifest import Manifest
from capacity.units import NS_PER_MS
from capacity.workload import parse_workload

SAME_NS = 1000  # two machines may draw times that differ in their last digit
LATE_SHARE = 0.25  # of the operations: rarer, it is a pause of the machine and not the generator's way of sending
LATE_PART = 0.05  # of the response p99: what changes it by less does not change what one concludes
FEWER = 0.01  # of a step's operations, left for after its end; as the backlog of a load 1 % above capacity
LATE_MS = 0.5  # below, it is the resolution of timers and of the scheduler of the operating system
BUNCH_NS = 100_000  # nearer to each other, two operations were sent at once

Times = npt.NDArray[np.int64]
ARRIVAL = np.dtype([("seq", np.int64), ("scheduled_ns", np.int64), ("operation", np.int64), ("step", np.int64)])


class PlannedLoad:
    """What the workload in a recording's manifest plans, drawn again.

    Raises CapacityError where that is no workload of this version.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._workload = parse_workload(manifest.workload, "the recording's workload")
        self._shape = self._workload.shape(manifest.profile)
        self._shards = manifest.generators
        self._names = np.array(manifest.operations)
        self._refused = sum(manifest.refused.values())
        self._complete = manifest.state == "complete"
        self._open = self._shape.kind == "rate"  # operations are due at a rate, whatever becomes of the ones before
        shards = map(self._shard, range(self._shards if self._open else 0))
        self._arrivals = [np.fromiter(shard.arrivals(), dtype=ARRIVAL) for shard in shards]

    @property
    def count(self) -> int | None:
        """How many operations are planned; None where that depends on the answers, or the recording was broken off."""
        return sum(map(len, self._arrivals)) if self._open and self._complete else None

    def connections(self, worker: int) -> int:
        """How many a generator has at least: whose were refused, the manifest does not say."""
        return max(1, len(range(worker, self._workload.connections, self._shards)) - self._refused)

    def strange(self, samples: pd.DataFrame) -> int:
        """How many operations of a recording are due when none was planned, or are other ones than were drawn."""
        found = 0
        for worker, mine in samples.groupby("worker"):
            number = int(str(worker))
            if number >= self._shards:
                found += len(mine)
            elif self._open:
                found += _strange_arrivals(mine, self._arrivals[number], self._names)
            else:
                found += _strange_turns(mine, self._shard(number), self._names)
        return found

    def _shard(self, worker: int) -> Schedule:
        return Schedule(self._workload, self._shape).shard(worker, self._shards)


def planned_load(manifest: Manifest | None) -> tuple[PlannedLoad | None, Problem | None]:
    """What was planned, where the recording says it; or why that cannot be drawn again."""
    if manifest is None or not manifest.workload:
        return None, None
    try:
        return PlannedLoad(manifest), None
    except CapacityError as error:
        return None, Problem(
            f"the plan cannot be drawn again: {error}",
            "nothing shows that all operations are there and were due when they should be",
            "read the recording with the version of the suite that made it, or measure again",
        )


def schedule_problem(samples: pd.DataFrame, plan: PlannedLoad) -> Problem | None:
    """Operations whose clock began at another time than the schedule says."""
    found = plan.strange(samples)
    if not found:
        return None
    return Problem(
        f"{found:,} of {len(samples):,} operations are not due when the workload, its shape and its seed say",
        "a clock that begins when an operation is sent leaves out the wait before it, longest where it counts most",
        "measure with a generator that takes each operation's due time from the schedule (or read the recording with "
        "the version of numpy that drew it)",
        void=True,
    )


def damage_problem(manifest: Manifest | None) -> Problem | None:
    """Streams of the recording that could not be read to their end."""
    if manifest is None or not manifest.damaged:
        return None
    return Problem(
        "; ".join(f"{stream} is damaged: {why}" for stream, why in manifest.damaged.items()),
        "what it held from there on is missing, and nobody knows what that was",
        "measure again",
        void=True,
    )


def burst_problem(samples: pd.DataFrame, delays_ns: "pd.Series[int]", effect: Effect = Effect.LATE) -> Problem | None:
    """A quarter of the operations was sent so late, with a connection free, that the response p99 changes.

    `delays_ns` are `own_delays_ns` of `samples`. A generator that pauses now and then is late with fewer of them; one
    that sends in bursts is late with most.
    """
    if delays_ns.empty:
        return None
    late_ms = float(delays_ns.quantile(1 - LATE_SHARE)) / NS_PER_MS
    if not late_ms > np.fmax(LATE_MS, LATE_PART * p99_ms(samples)):
        return None
    sent = samples.loc[delays_ns.index]
    at_once, due_at_once = _bunched(sent, "sent_ns"), _bunched(sent, "scheduled_ns")
    return Problem(
        f"the generator sent {LATE_SHARE:.0%} of its operations over {late_ms:,.1f} ms late with a connection free; "
        f"{at_once:.0%} went out at once with another, and {due_at_once:.0%} were due so",
        "what was due apart reaches the server together, and waits there for a reason that is not the server's",
        "measure with a generator that sends each operation when it is due, and leave it a core",
        void=True,
        effect=effect,
    )


def fewer_sent(samples: pd.DataFrame, delays_ns: "pd.Series[int] | None", manifest: Manifest | None) -> bool:
    """Whether the generator's own delay kept over 1 % of a step's operations from being sent before it ended.

    `delays_ns` are `own_delays_ns`; without them the wait for a connection counts as its own. Users wait for their
    answers, so that a generator that is late sends fewer of theirs in any case.
    """
    if manifest is not None and manifest.kind == "users":
        return True
    ends, sent = samples.groupby("step")["scheduled_ns"].transform("max"), samples["sent_ns"]
    own = sent - samples["scheduled_ns"] if delays_ns is None else delays_ns.reindex(samples.index).fillna(0)
    left = ((sent > ends) & (sent - own <= ends)).groupby(samples["step"]).mean()
    return bool((left > FEWER).any())


def own_delays_ns(samples: pd.DataFrame, gauges: pd.DataFrame, plan: PlannedLoad) -> "pd.Series[int]":
    """How much later each operation was sent than it could have been, in ns; those that were dropped have none.

    Operations are sent in turn on c connections, so the n-th can go when it is due and n − c others have ended. A
    connection that was lost is free again when it is open again, which the gauges say.
    """
    back = gauges[gauges["gauge"] == "generator.reconnection_ms"]
    returned = back["at_ns"].to_numpy(dtype=np.int64)
    lost = returned - np.round(back["value"].to_numpy(dtype=float) * NS_PER_MS).astype(np.int64)
    parts = [pd.Series(dtype=np.int64)]
    for worker, mine in samples[samples["outcome"] != "dropped"].groupby("worker"):
        ordered = mine.sort_values(["sent_ns", "seq"])
        free = _free_at(ordered["finished_ns"].to_numpy(), lost, returned)
        count, held = len(ordered), plan.connections(int(str(worker)))
        could = ordered["scheduled_ns"].to_numpy().copy()
        if count > held:
            could[held:] = np.maximum(could[held:], free[: count - held])
        parts.append(pd.Series(np.maximum(ordered["sent_ns"].to_numpy() - could, 0), index=ordered.index))
    delays: pd.Series[int] = pd.concat(parts).astype(np.int64)
    return delays


def _free_at(ended: Times, lost: Times, returned: Times) -> Times:
    """When connections became free, ascending: at each end; or, where one was lost by then, when it returned."""
    ends = np.sort(ended)
    return np.sort(np.concatenate([ends[~_first_since(lost - SAME_NS, ends)], returned]))


def _first_since(moments: npt.ArrayLike, ends: Times) -> npt.NDArray[np.bool_]:
    """Which of the ascending `ends` are the first at or after one of the moments; each end answers one moment."""
    chosen, place = np.zeros(len(ends), dtype=bool), 0
    for at in np.sort(moments):
        place = max(place, int(np.searchsorted(ends, at)))
        if place < len(ends):
            chosen[place] = True
            place += 1
    return chosen


def _bunched(sent: pd.DataFrame, clock: str) -> float:
    """The share of operations that came within BUNCH_NS after another of the same generator."""
    near = [np.diff(np.sort(mine.to_numpy())) <= BUNCH_NS for _, mine in sent.groupby("worker")[clock]]
    return float(np.concatenate(near).sum()) / len(sent)


def _strange_arrivals(mine: pd.DataFrame, planned: npt.NDArray[Any], names: npt.NDArray[np.str_]) -> int:
    """Compared by number; where some are missing by the nearest time, too, because the rest may be numbered anew."""
    due, seq = mine["scheduled_ns"].to_numpy(), mine["seq"].to_numpy()
    if not len(planned):
        return len(mine)
    drawn = planned[np.minimum(seq, len(planned) - 1)]
    same = (np.abs(drawn["scheduled_ns"] - due) <= SAME_NS) & (seq < len(planned))
    same &= names[drawn["operation"]] == mine["operation"].astype(str).to_numpy()
    if same.all() or len(mine) == len(planned):
        return int((~same).sum())
    times = np.sort(planned["scheduled_ns"])
    after = np.searchsorted(times, due)
    nearest = np.minimum(np.abs(times[np.minimum(after, len(times) - 1)] - due), np.abs(times[after - 1] - due))
    return int((~same & (nearest > SAME_NS)).sum())


def _strange_turns(mine: pd.DataFrame, schedule: Schedule, names: npt.NDArray[np.str_]) -> int:
    """A user is ready when it begins, and again a drawn time to think after each end, until it leaves."""
    ended = np.sort(mine["finished_ns"].to_numpy())
    changes = schedule.user_changes()
    begins = np.array([at for at, change in changes if change > 0], dtype=np.int64)
    ready = ended[~_first_since([at for at, change in changes if change < 0], ended)]
    if schedule.shape.think_ms:
        ready = ready + np.fromiter(schedule.think_times_ns(), dtype=np.int64, count=len(ready))
    due_strangely = ~mine["scheduled_ns"].isin(np.concatenate([begins, ready])).to_numpy()
    if schedule.shape.think_ms and mine["outcome"].isin(["timeout", "dropped"]).any():
        due_strangely[:] = False  # several given up at once: who of them thought for how long is not recorded
    seq = mine["seq"].to_numpy()
    drawn = np.fromiter(schedule.operations(), dtype=np.int64, count=int(seq.max(initial=-1)) + 1)
    return int((due_strangely | (names[drawn[seq]] != mine["operation"].astype(str).to_numpy())).sum())
