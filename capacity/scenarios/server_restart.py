"""A server of a trial's own is ended with a signal under load, and started again: what all such trials share."""

import signal
import time
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import psutil

from capacity.clock import monotonic_ns, unix_ns_of
from capacity.load.pool import REOPEN_NS
from capacity.probes.measurement import Measurement
from capacity.scenarios.fault_injection import TIMEOUT_MS, FaultRecording, measure_with_fault
from capacity.scenarios.trial import Proof, Scenario
from capacity.system.embedded import RunningServer

FIRST_MS = REOPEN_NS / 1e6 + TIMEOUT_MS
WHY_FIRST = f"a connection is tried again every {REOPEN_NS / 1e9:g} s, and a connect may take {TIMEOUT_MS / 1000:g} s"


@dataclass(frozen=True, slots=True)
class ServerRestart(Scenario):
    """A server is ended with the signal `how` at `at_s`, and started again `down_s` later; None leaves it alone.

    Operations come at `rate_per_s` for `seconds`, and each should be answered within `objective_ms`.
    """

    how: signal.Signals | None
    _: KW_ONLY
    rate_per_s: float = 100.0
    seconds: float = 5.0
    at_s: float = 2.0
    down_s: float = 0.3
    objective_ms: float = 100.0
    destructive: bool = True

    def identity(self, server: RunningServer) -> str:
        """What the server says that tells its life from an earlier one, as "the run_id is a1b2"."""
        raise NotImplementedError

    def measure(
        self, measurement: Measurement, url: str, folder: Path, server: RunningServer
    ) -> tuple[FaultRecording, Proof]:
        """Measure through the restart; `applied` are two moments between which the server was away for certain.

        The proof is that its `identity` is another one afterwards, and its process too.
        """
        pid, before = server.pid, self.identity(server)
        recorded = measure_with_fault(measurement, url, folder, (self.at_s, lambda: self._restart(server)))
        after = self.identity(server)
        if server.pid == pid or after == before or psutil.pid_exists(pid):
            return recorded, Proof(False, f"process {pid} still serves, and {after}")
        return recorded, Proof(True, f"process {pid} is gone, and {after}; before the restart: {before}")

    def _restart(self, server: RunningServer) -> tuple[int, int]:
        """End the server and start it again; returns moments in ns since 1970."""
        if self.how is None:
            now_ns = unix_ns_of(monotonic_ns())
            return now_ns, now_ns
        server.end(self.how)
        gone_ns = unix_ns_of(monotonic_ns())
        time.sleep(self.down_s)
        back_ns = unix_ns_of(monotonic_ns())
        server.start_again()
        return gone_ns, back_ns
