"""What PostgreSQL's counters rose by, where they counted all the time: else it is not given, and why."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from capacity.analysis.measured.sustained import Sustained
from capacity.analysis.statistics.estimates import Estimate, as_share, exactly, explained, ratio
from capacity.units import NS_PER_S

# Gauges that stay as they are while the counters are of one series, and what it means where one does not.
STAYS = {
    "postgres.started_s": "PostgreSQL was started anew",
    "postgres.reset_s": "the server's statistics were reset",
}
SWITCHED = {  # of each counter: the gauge that says whether it counts or is timed, and the setting that decides
    "postgres.read_ms": ("postgres.io_timed", "track_io_timing"),
    "postgres.data_write_ms": ("postgres.io_timed", "track_io_timing"),
    "postgres.log_sync_ms": ("postgres.log_timed", "track_wal_io_timing"),
    **dict.fromkeys(
        ("postgres.blocks_hit", "postgres.blocks_read", "postgres.deadlocks", "postgres.temp_bytes"),
        ("postgres.counted", "track_counts"),
    ),
}
ENDED = "PostgreSQL gave no reading of it from {:,.1f} s of the load on, as where it ends the connection"
FELL = "the counter fell: the server's statistics were reset, or it was started anew"
# Of the times in s: PostgreSQL 14 notes the begin of a new database's statistics a moment later, a reset comes later.
SAME_S = 1.0
LEAST_OTHERS = 0.005  # of the transactions; fewer are those of the server's own housekeeping


@dataclass(frozen=True, slots=True)
class Counters:
    """The counters of a recording of PostgreSQL; a reset, a restart or a setting that changes breaks their series.

    Recordings made before such changes were read show a fall alone.
    """

    part: Sustained

    def ratio(self, above: str, under: str) -> Estimate:
        """As that of `Sustained`, but a time that never rose was not taken, where nobody noted whether it was."""
        found = self._unbroken(self.part.ratio(above, under), self.part.gauges, above, under)
        gauge, setting = SWITCHED.get(above, ("", ""))
        if found.value == 0 and gauge and not len(_readings(self.part.gauges, gauge)[0]):
            return exactly(None, found.count, f"all of its times are 0: {setting} was off")
        return found

    def per_second(self, *names: str) -> Estimate:
        """As that of `Sustained`."""
        return self._unbroken(self.part.per_second(*names), self.part.gauges, *names)

    def total(self, name: str) -> Estimate:
        """As that of `Sustained`."""
        return self._unbroken(self.part.total(name), self.part.all_gauges, name)

    def share(self, name: str, of: str) -> Estimate:
        """The part that one counter has of what it and another one rose by together; see `as_share`."""
        one, other = self.part.rises(name, of)
        found = ratio(one, one + other)
        found = found if found.value is not None else explained(found, self.part.cause(name, of))
        return as_share(self._unbroken(found, self.part.gauges, name, of))

    def others(self) -> str:
        """How much of the server's work was that of other databases, by their transactions; empty where it was none."""
        rises = self.part.rises("postgres.commits", "postgres.rollbacks", "postgres.all_transactions")
        own, everywhere = float(rises[0].sum() + rises[1].sum()), float(rises[2].sum())
        if not everywhere or 1 - own / everywhere < LEAST_OTHERS:
            return ""
        return (
            f"of the whole server, {100 * (1 - own / everywhere):.0f} % of whose transactions were in other databases"
        )

    def _unbroken(self, found: Estimate, gauges: pd.DataFrame, *names: str) -> Estimate:
        if found.value is None and not all(len(_readings(gauges, name)[0]) for name in names):
            return found
        why = next(self._breaks(gauges, *names), "")
        return exactly(None, found.count, why) if why else found

    def _breaks(self, gauges: pd.DataFrame, *names: str) -> Iterator[str]:
        """Why the counters are not of one series in these readings."""
        switches = {SWITCHED[name][0]: f"{SWITCHED[name][1]} was changed" for name in names if name in SWITCHED}
        for gauge, said in {**STAYS, **switches}.items():
            at_s, values = _readings(gauges, gauge)
            least = SAME_S if gauge in STAYS else 0.0
            if len(changed := np.flatnonzero(np.abs(np.diff(values)) > least)):
                yield f"{said} {at_s[changed[0] + 1]:,.1f} s into the load"
        for name in names:
            at_s, values = _readings(gauges, name)
            if (np.diff(values) < 0).any():
                yield FELL
            if (last_s := self.part.unread_from(name)) is not None:
                yield ENDED.format(last_s)


def _readings(gauges: pd.DataFrame, name: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """When a gauge was read, in seconds into the load, and what it was."""
    mine = gauges[gauges["gauge"] == name].sort_values("at_ns")
    return mine["at_ns"].to_numpy() / NS_PER_S, mine["value"].to_numpy(dtype=float)
