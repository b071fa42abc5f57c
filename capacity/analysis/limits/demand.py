"""What a part of the system uses at its peak, and the mean of times of which percentiles are known."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from capacity.analysis.statistics.estimates import Estimate, times

Z95, Z99 = 1.6448536269514722, 2.3263478740408408  # standard normal quantiles


@dataclass(frozen=True, slots=True)
class Demand:
    """What a part of the system uses at its peak: each resource with its interval, and `headroom` (0–1) to keep free.

    `cpu` is in cores, `memory_gib` and `storage_gib` in GiB, `network_gbps` in Gbit/s, `connections`, `pooler_clients`
    and `iops` as they are. A resource that is not in `uses` was not measured and is not judged. `threads` is how many
    cores one server of the part can use, None for all. `pieces` is what of a use can be cut into so many equal pieces
    at most, each on one server; the rest is spread over all of them.
    """

    uses: Mapping[str, Estimate]
    headroom: float
    threads: float | None = None
    pieces: Mapping[str, Sequence[tuple[int, Estimate]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.headroom < 1:
            raise ValueError(f"the headroom must be a share from 0 to below 1 and is {self.headroom:g}")

    def grown(self, factor: float) -> "Demand":
        """The demand when the load is `factor` times as large; all that is used grows with it."""
        return replace(
            self,
            uses={name: times(use, factor) for name, use in self.uses.items()},
            pieces={name: [(most, times(use, factor)) for most, use in cut] for name, cut in self.pieces.items()},
        )

    def cut_into(self, pieces: int) -> "Demand":
        """The demand were each of its uses that is not spread cut into so many pieces at least."""
        cut = {name: [(max(pieces, most), use) for most, use in each] for name, each in self.pieces.items()}
        return replace(self, pieces=cut)

    def high_on(self, resource: str, servers: int) -> float | None:
        """The high end of a use by the server that has most of it, times the number of equal `servers`; None unknown.

        Pieces are shared out evenly, so that of p pieces one server of n has ceil(p / n).
        """
        high = self.uses[resource].high
        if high is None:
            return None
        for most, use in self.pieces.get(resource, ()):
            high += (use.high or 0.0) * (servers * -(-most // servers) / most - 1)
        return high


def mean_from_percentiles(p50: float, p95: float, p99: float) -> float:
    """The mean of times of which these percentiles are known, taken as log-normal; in their unit.

    exp(μ + σ²/2) with μ = ln p50, and σ from p95 or from p99: whichever is larger, so that a heavy tail counts.
    Raises ValueError unless 0 < p50 <= p95 <= p99.
    """
    if not 0 < p50 <= p95 <= p99 < math.inf:
        raise ValueError(f"percentiles must ascend from above 0 and are {p50:g}, {p95:g} and {p99:g}")
    return max(p50 * math.exp((math.log(high / p50) / z) ** 2 / 2) for high, z in ((p95, Z95), (p99, Z99)))
