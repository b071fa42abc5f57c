// node worker.mjs LEDGER CONCURRENCY TIMES: takes jobs until SIGTERM and notes each start and finish in the folder LEDGER
// as the suite's own workers do. TIMES is JSON: the median and p99 in ms of each type's lognormal time, {} for no work.
import { mkdirSync, openSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "bullmq";
import { options, queue } from "./connection.mjs";

const [folder, concurrency, times] = process.argv.slice(2);
const types = JSON.parse(times);
const Z99 = 2.3263478740408408; // the 99th percentile of the standard normal distribution

mkdirSync(folder, { recursive: true });
const file = openSync(`${folder}/node-${process.pid}-${Date.now()}.tsv`, "ax");

function note(event, job) {
  const now = BigInt(Date.now()) * 1_000_000n;
  writeSync(file, `${now}\t${event}\t${job.id}\t${job.name}\t${job.attemptsMade + 1}\t\n`);
}

function drawnMs({ median, p99 }) {
  const normal = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  return median * Math.exp((Math.log(p99 / median) / Z99) * normal);
}

async function work(job) {
  note("started", job);
  if (types[job.name]) await sleep(drawnMs(types[job.name]));
  note("completed", job);
}

const worker = new Worker(queue, work, { ...options, concurrency: Number(concurrency) });
worker.on("error", (error) => console.error(error.message));
await worker.waitUntilReady();
console.log("ready");
process.once("SIGTERM", async () => {
  await worker.close();
  process.exit(0);
});
