// The queue that the environment names, by the same variables as the suite's own processes.
const url = new URL(process.env.CAPACITY_REDIS_URL);

export const queue = process.env.CAPACITY_QUEUE ?? "capacity";
export const options = {
  prefix: process.env.CAPACITY_QUEUE_PREFIX ?? "bull",
  connection: { host: url.hostname, port: Number(url.port), maxRetriesPerRequest: null },
};
