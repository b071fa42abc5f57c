"""What a Redis says of itself before it is loaded: make, memory, rights, persistence and role."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import redis

from capacity.operation import PLACEHOLDER
from capacity.system.clients import redis_client, redis_product
from capacity.system.preflight.check import ANSWER_S, BESIDE, Check, fact, missing, note, one_line, widest
from capacity.system.preflight.clocks import clock_check, clock_offset
from capacity.units import MB
from capacity.workload import Workload

COUNTS_ERRORS = (6, 2)  # the first version that counts errors by their kind
MOST_SHOWN = 60  # characters of a command
READ_FIGURES = ("INFO",)
SET_NAME = ("CLIENT", "SETNAME", "capacity-load")
NOT_ALLOWED = redis.exceptions.NoPermissionError
NOT_QUEUED = frozenset({"EXEC", "DISCARD", "MULTI", "WATCH", "UNWATCH", "QUIT", "RESET"})  # these act at once
IN_TRANSACTION = re.compile(r"inside (a transaction|MULTI)", re.IGNORECASE)  # refused here, and nowhere else
SAID_ELSEWHERE = (redis.exceptions.ReadOnlyError, redis.exceptions.MovedError, redis.exceptions.ClusterCrossSlotError)


def redis_checks(url: str, workloads: Sequence[Workload]) -> list[Check]:
    """What is to be known of the Redis at `url` before these workloads; RedisError where it does not answer."""
    with redis_client(url, ANSWER_S) as client:
        user = _user(client)
        commands = {name: words for each in workloads for name, words in example_commands(each).items()}
        own = {" ".join(words[:2]): words for words in (READ_FIGURES, SET_NAME)}
        refused = why_refused(client, {**own, **commands})
        rights = list(_rights(user, refused, own, commands))
        if "INFO" in (refused or {}):
            return [fact("reachable", f"as {user}"), *rights]
        info: dict[str, Any] = client.info("everything")
        return [
            fact("reachable", f"{redis_product(info)}, as {user}, database {_database(client)}"),
            *rights,
            *_state(info, workloads),
            _memory(info),
            *_connections(client, info, workloads),
            _persistence(info),
            *_errors(info),
            _clock(client),
        ]


def example_commands(workload: Workload) -> dict[str, tuple[str, ...]]:
    """A command of each operation by the operation's name, its parameters filled with a number."""
    return {
        each.name: tuple(PLACEHOLDER.sub("1", word) for word in each.command)
        for each in workload.operations
        if each.command
    }


def why_refused(client: redis.Redis, commands: Mapping[str, Sequence[str]]) -> dict[str, redis.RedisError] | None:
    """Which of the commands the server would refuse, and why; None where that cannot be asked.

    They are queued in a transaction, which is where the server looks at rights, role and memory, and are then
    discarded: none is executed.
    """
    pool = client.connection_pool
    connection: Any = pool.get_connection()
    refused: dict[str, redis.RedisError] = {}
    try:
        connection.send_command("MULTI")
        connection.read_response()
        for name, words in commands.items():
            if words[0].upper() in NOT_QUEUED:
                continue
            connection.send_command(*words)
            try:
                connection.read_response()
            except redis.ResponseError as error:
                if not IN_TRANSACTION.search(str(error)):
                    refused[name] = error
        connection.send_command("DISCARD")
        connection.read_response()
    except redis.ResponseError:
        return None
    finally:
        pool.release(connection)
    return refused


def _user(client: redis.Redis) -> str:
    try:
        return str(client.acl_whoami())
    except redis.ResponseError:  # older than 6, or the user may not ask who it is
        return str(client.get_connection_kwargs().get("username") or "default")


def _database(client: redis.Redis) -> int:
    return int(client.get_connection_kwargs().get("db") or 0)


def _rights(
    user: str,
    refused: Mapping[str, redis.RedisError] | None,
    own: Mapping[str, Sequence[str]],
    commands: Mapping[str, Sequence[str]],
) -> Iterator[Check]:
    if refused is None:
        means = "an operation that the user may not do fails each time"
        yield note(
            "rights", f"{user} may not use MULTI, so they cannot be asked", means, f"ACL SETUSER {user} +multi +discard"
        )
        return
    if "INFO" in refused:
        means = "memory, CPU, evictions and connections are not given"
        yield note("rights", _not_allowed("INFO", refused), means, f"ACL SETUSER {user} +info")
    failing = [name for name in commands if name in refused and not isinstance(refused[name], SAID_ELSEWHERE)]
    for name in failing:
        words, error = commands[name], refused[name]
        means, right = f"the operation {name} fails each time", isinstance(error, NOT_ALLOWED)
        sent = textwrap.shorten(" ".join(words[:2] if right else words), MOST_SHOWN, placeholder=" …")
        said = f"{user} may not {sent} (NOPERM)" if right else f"{sent}: {one_line(error)}"
        yield note(
            "rights", said, means, _grant(user, words) if right else "correct the command in the workload's file"
        )
    if not failing and "INFO" not in refused:
        also = ", ".join(name for name in own if name not in refused)
        yield fact("rights", f"{user} may do all {len(commands)} operations, {also}")


def _grant(user: str, words: Sequence[str]) -> str:
    names_key = len(words) > 1 and ":" in words[1] and " " not in words[1]  # the second word of a script is its text
    key = f" ~{words[1].rpartition(':')[0]}:*" if names_key else ""
    return f"ACL SETUSER {user} +{words[0].lower()}{key}"


def _not_allowed(name: str, refused: Mapping[str, redis.RedisError]) -> str:
    error = refused[name]
    return f"NOPERM for {name}" if isinstance(error, NOT_ALLOWED) else f"{name} is refused: {one_line(error)}"


def _state(info: Mapping[str, Any], workloads: Sequence[Workload]) -> Iterator[Check]:
    """What makes a whole server answer otherwise: loading, replica, cluster."""
    if info.get("loading"):
        means = "every command is answered by LOADING until its data are read"
        yield missing("state", "it is loading its data from disk", means, "wait until it has")
    if info.get("role") == "slave":
        means = "writes are refused by READONLY; what is read may be older than on the primary"
        yield note("state", "a replica, which takes no writes", means, "name the primary's address")
    if info.get("cluster_enabled"):
        means = "keys of other nodes are answered by MOVED, which counts as an error; only this node is loaded"
        to_do = "give the keys one hash tag in braces, as {app}:item:1, that is on this node"
        yield note("state", "a node of a cluster", means, to_do)


def _memory(info: Mapping[str, Any]) -> Check:
    policy = info.get("maxmemory_policy", "")
    if limit := info.get("maxmemory"):
        used = info.get("used_memory", 0)
        said = f"{used / MB:,.0f} MB used of {limit / MB:,.0f} MB (maxmemory), {policy}"
        if used < 0.9 * limit:
            return fact("memory", said)
        full = "writes are refused (OOM)" if policy == "noeviction" else "keys are evicted"
        return note("memory", said, f"it is nearly full: {full} during the load", "free some, or raise maxmemory")
    means = "memory used of maxmemory (memory_utilisation) is not given; the machine's memory is the limit"
    return note("memory", "maxmemory is 0: no limit", means, "CONFIG SET maxmemory to what is meant for it")


def _connections(client: redis.Redis, info: Mapping[str, Any], workloads: Sequence[Workload]) -> Iterator[Check]:
    allowed = info.get("maxclients")
    if allowed is None or not workloads:
        return
    most, used = widest(workloads), int(info.get("connected_clients", 1)) - 1
    free = int(allowed) - used
    said = f"{most.connections} wanted by {most.name} and {BESIDE} beside it, {free:,} free"
    said += f": {allowed:,} maxclients − {used:,} in use"
    if free >= most.connections + BESIDE:
        yield fact("connections", said)
        return
    means = "those beyond it are refused: fewer connections carry the load, and each refusal is a connection error"
    yield note("connections", said, means, f"lower `connections` in {most.name}.yaml, or raise maxclients")


def _persistence(info: Mapping[str, Any]) -> Check:
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        means = "with stop-writes-on-bgsave-error every write is refused (MISCONF)"
        return note("persistence", "the last snapshot failed", means, "look into its log, and free its disk")
    if info.get("rdb_bgsave_in_progress") or info.get("aof_rewrite_in_progress"):
        means = "response times are those beside a snapshot"
        return note(
            "persistence", "a snapshot is being written", means, "wait until it is, or measure with it on purpose"
        )
    appended = "appended to a file" if info.get("aof_enabled") else "not appended to a file"
    changes = info.get("rdb_changes_since_last_save")
    return fact("persistence", f"writes are {appended}; {changes} changes since the last snapshot")


def _errors(info: Mapping[str, Any]) -> Iterator[Check]:
    version = tuple(int(each) for each in str(info.get("redis_version", "")).split(".")[:2] if each.isdigit())
    if version and version < COUNTS_ERRORS:
        said = f"version {info['redis_version']} does not count errors by kind"
        yield note("errors", said, "out-of-memory errors are not given", "nothing; 6.2 and later count them")
    elif "errorstat_ERRORSTATS_DISABLED" in info:
        means = "out-of-memory errors are not given"
        yield note("errors", "it met too many kinds of error to count them by kind", means, "CONFIG RESETSTAT")


def _clock(client: redis.Redis) -> Check:
    def tell() -> float:
        seconds, microseconds = client.time()
        return float(seconds) + microseconds / 1e6

    try:
        return clock_check(clock_offset(tell))
    except redis.ResponseError as error:
        return fact("clock", f"not told: {one_line(error)}")
