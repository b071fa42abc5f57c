#!/usr/bin/env bash
# @opentelemetry/exporter-prometheus 0.223.0 (Node): a histogram in seconds has no `_seconds` in its name.
#
# OpenTelemetry's exporter for Python adds the unit to a metric's name. The one for Node puts it nowhere: there
# db.client.operation.duration with the unit `s` is db_client_operation_duration. An alert on
# db_client_operation_duration_seconds_bucket, as an application in Python exports it, selects nothing of an application in
# Node, and an alert on nothing never fires.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --prefix "$folder" \
    @opentelemetry/api@1.9.1 @opentelemetry/sdk-metrics@2.12.1 @opentelemetry/exporter-prometheus@0.223.0
cat >"$folder/node.cjs" <<'NODE'
const { MeterProvider } = require("@opentelemetry/sdk-metrics");
const { PrometheusExporter, PrometheusSerializer } = require("@opentelemetry/exporter-prometheus");
const reader = new PrometheusExporter({ preventServerStart: true });
const meter = new MeterProvider({ readers: [reader] }).getMeter("shop");
meter.createHistogram("db.client.operation.duration", { unit: "s" }).record(0.25);
reader.collect().then(({ resourceMetrics }) => {
  const lines = new PrometheusSerializer().serialize(resourceMetrics).split("\n");
  const names = [...new Set(lines.filter((line) => line.startsWith("db_")).map((line) => line.split("{")[0]))];
  console.log("Node:", names.join(" "));
  process.exit(names.length === 3 && names.every((name) => !name.includes("second")) ? 0 : 1);
});
NODE
node "$folder/node.cjs"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet opentelemetry-sdk==1.45.2 opentelemetry-exporter-prometheus==0.66b2 || {
    echo "the exporter for Python is not to be had in this version"
    exit 1
}
"$folder/venv/bin/python" - <<'PYTHON'
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import REGISTRY, generate_latest

meter = MeterProvider([PrometheusMetricReader()]).get_meter("shop")
meter.create_histogram("db.client.operation.duration", unit="s").record(0.25)
lines = generate_latest(REGISTRY).decode().splitlines()
names = sorted({line.partition("{")[0] for line in lines if line.startswith("db_")})
print("Python:", *names)
assert names and all("_seconds" in name for name in names), names
PYTHON
