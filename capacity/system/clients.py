"""Clients of the servers that say at once what is wrong, where their libraries would try again first."""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def redis_client(url: str, timeout_s: float) -> redis.Redis:
    """A Redis client without retries: they would hide a fault for seconds."""
    limits = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
    return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **limits)
