"""What to do about a class of failure: the first thing that usually helps, in a few words."""

import re

# The first that matches the class counts.
REMEDIES = (
    (r"ReadOnlySqlTransaction", "load a server and a role that may write, or leave out the operations that write"),
    (r"InsufficientPrivilege", "grant the load's role what it is refused"),
    (r"Undefined|InvalidSchemaName", "create what is missing, or correct the operation's SQL in the workload"),
    (r"QueryCanceled", "raise the role's statement_timeout, or make the statement faster"),
    (r"\(42\w{3}\)", "correct the operation's SQL in the workload"),
    (r"prepared statement", "a transaction pooler keeps no prepared statements, so measure with prepared False"),
    (r"slots|too many|max number of clients", "allow more connections there, or give the workload fewer"),
    (r"^40[13]$", "give the workload's requests the headers by which the API knows who may"),
    (r"^404$", "correct the paths in the workload, or the API's address"),
    (r"^429|retry after$", "lower the rate, or raise what the API admits"),
    (r"^4\d\d$", "correct the requests in the workload"),
    (r"^5\d\d$", "look into the API's own log"),
    (r"^NOPERM", "give the load's user the right to its commands and keys, by ACL SETUSER"),
    (r"^(NOAUTH|WRONGPASS)|password|no pg_hba", "correct user and password in the address"),
    (r"^OOM", "raise maxmemory, or choose a maxmemory-policy that evicts"),
    (r"^WRONGTYPE", "give the workload keys of its own: those are of another type"),
    (r"^READONLY", "give the address of the primary"),
    (r"timed out", "see what the server waits for, or give the workload a longer timeout_ms"),
    (r"no free connection", "give the workload more connections or a lower rate"),
    (r"connection|reset|[Bb]roken pipe", "look into the server's log for why it ends connections"),
)
# Statuses, SQLSTATEs and Redis's codes of rights, names and forms: the same operation would meet them again.
LASTS = re.compile(
    r"^4(0[0-7]|1[0-7]|22)$|\((0A|25|28|3D|3F|42)\w{3}\)$|^(NOPERM|NOAUTH|WRONGPASS|WRONGTYPE|READONLY)$"
)
OTHERWISE = "look into the server's log, and put that right"


def remedy_of(reason: str) -> str:
    """What to do about a class of failure, or about a reason for which a connection was refused."""
    return next((remedy for pattern, remedy in REMEDIES if re.search(pattern, reason)), OTHERWISE)


def lasts(reason: str) -> bool:
    """Whether a class of failure is one that the same operation would meet again."""
    return LASTS.search(reason) is not None
