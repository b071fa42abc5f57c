"""What a recording says of the database's storage: what was asked of the kernel, and what the device did."""

from dataclasses import replace

from capacity.analysis.measured.counters import Counters
from capacity.analysis.measured.sustained import Sustained
from capacity.analysis.statistics.estimates import Estimate, exactly
from capacity.findings import Finding
from capacity.units import MB

# A read that was begun ahead is waited for only as long as it then still takes.
AHEAD = "io_method is {}: reads are begun ahead, and what is left of one when its data are wanted is the wait"
SYNCHRONOUS = ("", "sync")
BLOCKS = "counted by blocks, of which one call may move several, up to PostgreSQL 17"
OWN_AT_LEAST = 0.5  # of what a device moved: with less of it the number of its operations is that of other programs
OTHERS = "other programs moved most of what the device did: of {:,.0f} MB the server's processes had {:,.0f}"
SHARED = "of all programs that use the device; of the bytes that it moved the server's processes had {:.0f} %"


def storage_findings(part: Sustained) -> list[Finding]:
    """The size and the buffers of the database, what the server asked of the kernel, and what the device did."""
    return [*_of_database(part), *_of_kernel(part), *_of_device(part)]


def _of_database(part: Sustained) -> list[Finding]:
    counters, blocks = Counters(part), ("postgres.blocks_hit", "postgres.blocks_read")
    temporary = counters.total("postgres.temp_bytes")
    return [
        part.finding("size", part.peak("postgres.size_bytes"), "MB", "size of this database", 1 / MB),
        part.finding(
            "cache_hit_rate", counters.share(*blocks), "%", "blocks of this database found in its buffers", 100
        ),
        part.finding("temporary_files", temporary, "MB", "written to temporary files by this database", 1 / MB),
    ]


def _of_kernel(part: Sustained) -> list[Finding]:
    """PostgreSQL's own view, of the whole server: the page cache may answer, and a write may stay in it."""
    counters = Counters(part)
    read = counters.ratio("postgres.read_ms", "postgres.reads")
    written, log_too = _write_wait(counters)
    synced = counters.ratio("postgres.log_sync_ms", "postgres.log_syncs")
    asked = counters.per_second(*(f"postgres.{each}" for each in ("reads", "data_writes", "extends", "log_writes")))
    moved = counters.per_second(*(f"postgres.{each}_bytes" for each in ("read", "data_write", "log_write")))
    logged = counters.per_second("postgres.log_bytes")
    method = str(part.manifest.system.get("io_method", ""))
    ahead = "" if method in SYNCHRONOUS else AHEAD.format(method)
    blocks = BLOCKS if part.manifest.system.get("io_counted") == "blocks" else ""
    found = [
        _noted(
            part.finding("read_wait", read, "ms", "wait for a read that the kernel was asked for, mean"), ahead, blocks
        ),
        _noted(
            part.finding("write_wait", written, "ms", "wait for a write that the kernel was asked for, mean"), log_too
        ),
        part.finding("log_sync", synced, "ms", "sync of the log, mean"),
        _noted(
            part.finding("kernel_operations", asked, "/s", "reads and writes that the kernel was asked for"), blocks
        ),
        part.finding("kernel_throughput", moved, "MB/s", "read and written as the kernel was asked", 1 / MB),
        part.finding("log_throughput", logged, "MB/s", "written to the log", 1 / MB),
    ]
    return [_noted(replace(each, title=f"{each.title}, whole server"), counters.others()) for each in found]


def _write_wait(counters: Counters) -> tuple[Estimate, str]:
    """The mean wait for a write of data; earlier recordings have the log's with it, where both were timed."""
    found = counters.ratio("postgres.data_write_ms", "postgres.data_writes")
    earlier = counters.ratio("postgres.write_ms", "postgres.writes")
    if earlier.value is None or not counters.ratio("postgres.log_sync_ms", "postgres.log_syncs").value:
        return found, ""
    return earlier, "the log's writes among them"


def _of_device(part: Sustained) -> list[Finding]:
    """The counters of the device itself: those of all programs, except for what the server's own processes moved."""
    took = {each: part.ratio(f"postgres.device_{each}_ms", f"postgres.device_{each}s") for each in ("read", "write")}
    moved = part.per_second("postgres.fetched_bytes", "postgres.sent_bytes")
    done, note = _operations(part)
    return [
        part.finding("device_read", took["read"], "ms", "read by the device with its queue, mean"),
        part.finding("device_write", took["write"], "ms", "write by the device with its queue, mean"),
        _noted(part.finding("device_operations", done, "/s", "reads and writes that the device did"), note),
        part.finding("device_throughput", moved, "MB/s", "moved to and from the device by the server", 1 / MB),
    ]


def _operations(part: Sustained) -> tuple[Estimate, str]:
    """What the device did in a second, and how much of that was the server's; none where that was the lesser part."""
    done = part.per_second("postgres.device_reads", "postgres.device_writes")
    names = ("postgres.device_bytes", "postgres.fetched_bytes", "postgres.sent_bytes")
    total, *own = (float(each.sum()) for each in part.rises(*names))
    if done.value is None or not total:
        return done, ""
    if sum(own) < OWN_AT_LEAST * total:
        return exactly(None, done.count, OTHERS.format(total / MB, sum(own) / MB)), ""
    return done, SHARED.format(100 * min(1.0, sum(own) / total))


def _noted(finding: Finding, *notes: str) -> Finding:
    """The finding, where it has a value with these notes too."""
    return finding if finding.value is None else replace(finding, note="; ".join(filter(None, [finding.note, *notes])))
