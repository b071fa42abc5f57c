// node any_make.mjs MODULE WORD: does something with the queue that the environment names, by that make of it. WORD is
// `work [CONCURRENCY]`: take jobs until SIGTERM, of which those of the type Again fail at first and those of the type
// Never always; `add` a job; `pause`, `resume`, or `open` the queue; or `listen` to its events until SIGTERM.
// SHIFT_MS shifts the clock of the process.
import { options, queue } from "./connection.mjs";

const [module, word, concurrency] = process.argv.slice(2);
const now = Date.now.bind(Date);
Date.now = () => now() + Number(process.env.SHIFT_MS ?? 0);
const library = await import(module);
const seen = {};

async function work(job) {
  seen[job.id] = (seen[job.id] ?? 0) + 1;
  if (job.name === "Never" || (job.name === "Again" && seen[job.id] === 1)) throw new Error("timeout");
}

async function ended(close) {
  console.log("ready");
  await new Promise((resolve) => process.once("SIGTERM", resolve));
  await close();
  process.exit(0);
}

if (module === "bull") {
  const { connection, prefix } = options;
  const made = new library.default(queue, { prefix, redis: { host: connection.host, port: connection.port } });
  await made.isReady();
  if (word === "work") {
    made.process("*", Number(concurrency ?? 1), work);
    await ended(() => made.close());
  }
  if (word === "add") await made.add("Plain", {});
  if (word === "pause" || word === "resume") await made[word]();
  await made.close();
} else if (word === "work") {
  const worker = new library.Worker(queue, work, { ...options, concurrency: Number(concurrency ?? 1) });
  worker.on("error", (error) => console.error(error.message));
  await worker.waitUntilReady();
  await ended(() => worker.close());
} else if (word === "listen") {
  const events = new library.QueueEvents(queue, options);
  await events.waitUntilReady();
  await ended(() => events.close());
} else {
  const made = new library.Queue(queue, options);
  await made.waitUntilReady();
  if (word === "add") await made.add("Plain", {});
  if (word === "pause" || word === "resume") await made[word]();
  await made.close();
}
