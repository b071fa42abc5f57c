"""What a recording of the API gateway says: the findings of the report's third section."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from capacity.analysis.measured.failures import AT_LOAD, failure_findings
from capacity.analysis.measured.summary import acquisition_findings, prefix_and_title, response_findings
from capacity.analysis.measured.sustained import Sustained, sustained
from capacity.analysis.statistics.estimates import Estimate, as_share, exactly, explained, mean_rate, peak
from capacity.findings import Finding
from capacity.manifest import Manifest
from capacity.units import NS_PER_S

SECTION = "gateway"
UNUSED = "generator.reconnection_of_unused"
STARTED = "the counter fell: the gateway was started anew"
NO_LIMIT = "the gateway's pool has no connections: its limit is 0"
SHED = ", retry after"  # in the class of a failure that says when to come again; once followed by when


def gateway_findings(recording: str, samples: pd.DataFrame, gauges: pd.DataFrame, manifest: Manifest) -> list[Finding]:
    """All findings of one recording of the gateway probe, given its name, frames and manifest.

    A request that the gateway shed on purpose, by a status with a time to come again, is apart from errors. What the
    gateway alone knows, as its pool of connections to the database, is not there where it does not tell it.
    """
    part = sustained(SECTION, recording, samples, gauges, manifest)
    cpu = part.finding("cpu_share", part.per_second("gateway.cpu_s"), "%", "CPU of the gateway, of one core", 100)
    failed = failure_findings(SECTION, recording, samples, manifest)
    return [*response_findings(part), *_outcomes(part), *_connections(part), *_inside(part), cpu, *failed]


def _outcomes(part: Sustained) -> Iterable[Finding]:
    shed = part.samples["error"].astype(object).fillna("").str.contains(SHED, regex=False)
    failed = (part.samples["outcome"] != "ok") & ~shed
    told = part.samples["outcome"] == "error"  # by the server: time-outs and drops may be the generator's own
    groups = [(name, group.index) for name, group in part.samples.groupby("operation", observed=True)]
    for name, index in [*groups, ("all", part.samples.index)]:
        prefix, title = prefix_and_title(str(name))
        count = len(index)
        yield part.finding(f"{prefix}volume", exactly(count, count), "requests", f"{title}, volume")
        for kind, these, words in (("error", failed, "errors"), ("shed", shed, "shed on purpose")):
            counted, by_server = (int(each[index].sum()) for each in (these, these & told))
            yield part.share(f"{prefix}{kind}_rate", counted, count, f"{title}, {words}", otherwise=by_server)
    status, requests = part.samples.loc[failed, "error"].astype(str), len(part.samples)
    for family in ("4", "5"):
        answers = status.str.match(rf"{family}\d\d$").sum()
        yield part.share(f"status_{family}xx_rate", answers, requests, f"answers with a status {family}xx")
    others = ~status.str.match(r"[45]\d\d$")
    cut = (others & told[status.index]).sum()
    yield part.share("no_answer_rate", others.sum(), requests, "connections cut, time-outs and drops", otherwise=cut)
    redirected = exactly(part.manifest.redirected, requests, "redirections were not counted when it was recorded")
    yield part.finding("redirected", redirected, "", "redirections in the whole load, not followed")


def _connections(part: Sustained) -> Iterable[Finding]:
    """The pool of connections to the gateway: how many were needed at once, and how often one was opened anew."""
    again = part.gauges[part.gauges["gauge"] == "generator.reconnection_ms"]
    requests = len(part.samples)
    seconds = np.arange(int(part.gauges["at_ns"].min() // NS_PER_S), int(part.gauges["at_ns"].max() // NS_PER_S) + 2)
    rate = mean_rate(np.histogram(again["at_ns"] / NS_PER_S, bins=seconds)[0], 1.0)
    opened = explained(rate, f"the generator's connections were not read {AT_LOAD}")
    pool = part.manifest.admitted
    in_use = part.peak("generator.in_use")
    yield part.finding("connections_in_use", in_use, "connections", "connections in use, peak")
    yield part.finding("connections_utilisation", in_use, "%", "connections in use of those open, peak", 100 / pool)
    unused = (part.gauges["gauge"] == UNUSED).sum()  # by no request: the server ended it while it was idle
    reused = max(0, requests - (len(again) - unused))
    yield part.share("keep_alive_reuse", reused, requests, "requests on a connection that was open")
    yield part.finding("connections_opened", opened, "/s", "connections opened anew")
    yield from acquisition_findings(part, "wait for a connection to the gateway,", ["p99"])


def _inside(part: Sustained) -> Iterable[Finding]:
    """What the gateway tells of its own pool of connections to the database, of its breaker and of its queue."""
    told = set(part.all_gauges["gauge"])
    if "gateway.pool_limit" in told:
        yield from _pool(part)
    if "gateway.breaker_refusals_total" in told:
        refused = _counted(part, "gateway.breaker_refusals_total")
        yield part.finding("breaker_refusals", refused, "", "refused by the breaker")
    if "gateway.queue_depth" in told:
        yield part.finding("queue_depth", part.peak("gateway.queue_depth"), "jobs", "jobs waiting, peak")


def _pool(part: Sustained) -> Iterable[Finding]:
    size = part.peak("gateway.pool_limit").value
    in_use = part.peak("gateway.pool_in_use")
    why = in_use.why or (NO_LIMIT if size == 0 else part.cause("gateway.pool_limit", "gateway.pool_in_use"))
    used = part.readings("gateway.pool_in_use")
    share = peak(used / size) if size and in_use.value is not None else exactly(None, 0, why)
    wait = _mean(part, "gateway.pool_wait_seconds_total")
    waited = _mean(part, "gateway.pool_requests_waited_total")
    yield part.finding("pool_utilisation", share, "%", "database connections in use, peak", 100)
    yield part.finding("pool_wait", wait, "ms", "wait for a database connection, mean", 1e3)
    yield part.finding("pool_waited_rate", as_share(waited), "%", "requests that waited for one", 100)
    yield part.finding(
        "pool_errors", _counted(part, "gateway.pool_errors_total"), "", "waits for one that ended in vain"
    )


def _counted(part: Sustained, name: str) -> Estimate:
    return part.whole(part.total(name), name, fell=STARTED)


def _mean(part: Sustained, above: str) -> Estimate:
    """Of each request for a connection to the database."""
    under = "gateway.pool_requests_total"
    return part.whole(part.ratio(above, under), above, under, fell=STARTED)
