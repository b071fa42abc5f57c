// node producer.mjs COUNT TYPE: enqueues as many jobs of that type and prints their ids as JSON.
import { Queue } from "bullmq";
import { options, queue } from "./connection.mjs";

const [count, type] = process.argv.slice(2);
const opts = { attempts: 3, backoff: { type: "exponential", delay: 100, jitter: 0.5 } };
const jobs = Array.from({ length: Number(count) }, (_, owner) => ({ name: type, data: { owner }, opts }));
const producer = new Queue(queue, options);
const added = await producer.addBulk(jobs);
console.log(JSON.stringify(added.map((job) => job.id)));
await producer.close();
