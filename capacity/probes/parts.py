"""The parts of a system that can be probed: a further one is a line here and a module of its own."""

from capacity.probes import database, gateway, queue, redis

PARTS = {each.name: each for each in (database.PROBE, redis.PROBE, queue.PROBE, gateway.PROBE)}
