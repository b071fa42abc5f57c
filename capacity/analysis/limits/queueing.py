"""Waiting lines: how many servers a load needs, how much load they hold, and whether a backlog grows."""

import math
import sys
from collections.abc import Iterator

MANY = 1e6  # busy servers, from which on they are not counted one by one
FARTHEST = 40.0  # in √A above the load: nobody waits there
HALVINGS = 60  # of the interval from 0 to saturation: after these it is as narrow as a float allows


def erlang_c(offered_load: float, servers: int) -> float:
    """The probability of having to wait in M/M/c: Poisson arrivals, exponential service, c = `servers`.

    From Erlang's B by its recursion over servers, which neither overflows nor cancels.

    Parameters
    ----------
    offered_load : float
        Arrival rate times service time: the servers kept busy, in Erlang.
    servers : int
        From 1.

    Returns
    -------
    float
        0–1; 1 from a load of `servers` on, where all wait and the queue grows for ever.

    Raises
    ------
    ValueError
        For a load below 0 or fewer than one server.

    References
    ----------
    Erlang (1917); Gross, Shortle, Thompson and Harris, Fundamentals of Queueing Theory (2008), 2.3.

    Examples
    --------
    >>> from capacity import erlang_c
    >>> round(erlang_c(8, 10), 6)
    0.40918
    """
    _check("offered load", offered_load)
    _check_servers(servers)
    return next(waits for count, waits in _waiting(offered_load) if count == servers)


def servers_needed(arrival_rate: float, service_time: float, wait_limit: float, probability: float) -> int:
    """The smallest c with P(wait <= `wait_limit`) >= `probability` in M/M/c.

    Parameters
    ----------
    arrival_rate : float
        Arrivals per second.
    service_time, wait_limit : float
        Seconds.
    probability : float
        Of waiting no longer than the limit; between 0 and 1, both excluded.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        For a rate or time that is negative or not finite, and a probability outside (0, 1).

    References
    ----------
    As for `erlang_c`; P(W <= t) = 1 − C·exp(−(c − A)·t / s), with A = arrival rate times s. From a million busy servers
    on C is its limit of many servers, which is off by a few in a million: Halfin and Whitt, Heavy-traffic
    limits for queues with many exponential servers, Operations Research 29 (1981).

    Examples
    --------
    500 arrivals a second of 20 ms each keep 10 servers busy. That 99 of 100 wait 0.1 s at most, it takes more:

    >>> from capacity import servers_needed
    >>> servers_needed(arrival_rate=500, service_time=0.02, wait_limit=0.1, probability=0.99)
    11
    """
    _check("wait limit", wait_limit)
    _check_probability(probability)
    _check("arrival rate", arrival_rate)
    _check("service time", service_time)
    load, limit = arrival_rate * service_time, wait_limit / service_time if service_time else math.inf
    if load > MANY:
        return _of_many(load, limit, probability)
    overloaded = math.floor(load)  # with so few the queue grows for ever, and they may be hundreds of thousands
    return next(c for c, waits in _waiting(load, overloaded) if _within(waits, load, c, limit) >= probability)


def highest_arrival_rate(service_time: float, servers: int, wait_limit: float, probability: float) -> float:
    """The highest arrivals per second at which `servers` keep P(wait <= `wait_limit`) >= `probability` in M/M/c.

    The knee that a measured `service_time` predicts: a system that breaks far below it is limited by something else
    than these servers. Times in seconds. Raises ValueError as `servers_needed`, and for a service time of 0.
    """
    _check("wait limit", wait_limit)
    _check_servers(servers)
    _check_probability(probability)
    _check("service time", service_time)
    if service_time == 0:
        raise ValueError("the service time is 0 s, which any arrival rate meets; give the one that was measured")
    low, high = 0.0, float(servers)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        kept = _within(erlang_c(middle, servers), middle, servers, wait_limit / service_time) >= probability
        low, high = (middle, high) if kept else (low, middle)
    return low / service_time


def _waiting(load: float, servers: int = 0) -> Iterator[tuple[int, float]]:
    """The number of servers from `servers` + 1 on and the probability of waiting with them, without end.

    B(c) = A·B(c − 1) / (c + A·B(c − 1)) and C(c) = c·B / (c − A + A·B).
    """
    blocked = 1 / _odds(load, servers)
    while True:
        servers += 1
        blocked = load * blocked / (servers + load * blocked)
        yield servers, 1.0 if load >= servers else servers * blocked / (servers - load + load * blocked)


def _of_many(load: float, limit: float, probability: float) -> int:
    """The fewest of a great many servers: c = A + β·√A with C = 1 / (1 + β·Φ(β) / φ(β)), and β bisected."""
    low, high = 0.0, FARTHEST
    for _ in range(HALVINGS):
        beta = (low + high) / 2
        free = math.sqrt(math.pi / 2) * math.exp(beta**2 / 2) * (1 + math.erf(beta / math.sqrt(2)))
        waits = math.exp(-beta * math.sqrt(load) * limit) / (1 + beta * free)
        low, high = (low, beta) if 1 - waits >= probability else (beta, high)
    return max(math.floor(load) + 1, math.ceil(load + high * math.sqrt(load)))


def _odds(load: float, servers: int) -> float:
    """1 / B(c) for c up to A, in some multiple of √A steps: 1 + c/A + c·(c − 1)/A² + … as far as it adds anything."""
    term = total = 1.0
    while servers and term > total * sys.float_info.epsilon:
        term *= servers / load
        total += term
        servers -= 1
    return total


def _within(waits: float, load: float, servers: int, limit: float) -> float:
    """P(W <= limit) with the limit in service times."""
    return 0.0 if load >= servers else 1 - waits * math.exp(-(servers - load) * limit)


def _check(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"the {name} must be a number from 0 and is {value:g}")


def _check_servers(servers: int) -> None:
    if servers < 1 or servers != int(servers):
        raise ValueError(f"the servers must be a whole number from 1 and are {servers:g}")


def _check_probability(probability: float) -> None:
    if not 0 < probability < 1:
        raise ValueError(f"the probability must lie between 0 and 1, both excluded, and is {probability:g}")
