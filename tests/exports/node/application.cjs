// node application.cjs POSTGRES REDIS QUEUE: uses each once, well and badly, and prints what Prometheus would be given.
const api = require("@opentelemetry/api");
const { MeterProvider } = require("@opentelemetry/sdk-metrics");
const { PrometheusExporter, PrometheusSerializer } = require("@opentelemetry/exporter-prometheus");
const { PgInstrumentation } = require("@opentelemetry/instrumentation-pg");

const [postgres, redis, name] = process.argv.slice(2);
const reader = new PrometheusExporter({ preventServerStart: true });
const meterProvider = new MeterProvider({ readers: [reader] });
api.metrics.setGlobalMeterProvider(meterProvider);
const instrumentation = new PgInstrumentation();
instrumentation.setMeterProvider(meterProvider);
instrumentation.enable(); // before pg is loaded

const { Pool } = require("pg");
const { Queue, QueueEvents, Worker } = require("bullmq");
const { BullMQOtel } = require("bullmq-otel");
const express = require("express");
const bundle = require("express-prom-bundle");

async function askDatabase() {
  const pool = new Pool({ connectionString: postgres, max: 2 });
  await Promise.all([1, 2, 3].map(() => pool.query("SELECT 1")));
  await pool.query("SELECT missing").catch(() => {});
  return pool;
}

async function doJobs() {
  const { hostname, port } = new URL(redis);
  const connection = { host: hostname, port: Number(port), maxRetriesPerRequest: null };
  const telemetry = new BullMQOtel({ tracerName: "test", meterName: "test", version: "1", enableMetrics: true });
  const queue = new Queue(name, { connection, telemetry });
  const work = async (job) => {
    if (job.name === "bad") throw new Error("bad");
  };
  const events = new QueueEvents(name, { connection });
  await events.waitUntilReady();
  const worker = new Worker(name, work, { connection, telemetry });
  const jobs = await Promise.all(["good", "bad"].map((each) => queue.add(each, {})));
  await Promise.allSettled(jobs.map((job) => job.waitUntilFinished(events)));
  await worker.close();
  const text = await queue.exportPrometheusMetrics();
  await queue.obliterate({ force: true });
  await Promise.all([events.close(), queue.close()]);
  return text;
}

async function answer() {
  const app = express();
  app.use(bundle({ includeMethod: true, includePath: true }));
  app.get("/orders/:id", (_, response) => response.send("here"));
  app.get("/broken", (_, response) => response.status(503).send("not here"));
  const server = app.listen(0, "127.0.0.1");
  await new Promise((ready) => server.on("listening", ready));
  const base = `http://127.0.0.1:${server.address().port}`;
  for (const path of ["/orders/7", "/broken"]) await (await fetch(base + path)).text();
  const text = await (await fetch(`${base}/metrics`)).text();
  server.close();
  return text;
}

(async () => {
  const pool = await askDatabase();
  const told = [await doJobs(), await answer()];
  const { resourceMetrics } = await reader.collect();
  told.push(new PrometheusSerializer().serialize(resourceMetrics));
  await pool.end();
  console.log(told.join("\n"));
  process.exit(0);
})();
