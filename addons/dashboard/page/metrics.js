// CPU and memory in use, where a metrics server answers.

import { ask } from "./api.js";
import { hasMetrics } from "./discovery.js";

const INTERVAL = 30_000;
const UNITS = { n: 1e-9, u: 1e-6, m: 1e-3, "": 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 };

/** A quantity as a number. */
export function quantity(text) {
  const found = /^([0-9.]+)([a-zA-Z]*)$/.exec(text ?? "");
  return found ? Number(found[1]) * (UNITS[found[2]] ?? 1) : 0;
}

/** Cores, as millicores if they are few. */
export function cores(number) {
  return number < 10 ? `${Math.round(number * 1000)}m` : number.toFixed(1);
}

/** Bytes with a unit. */
export function bytes(number) {
  const [unit, size] = [["Gi", 2 ** 30], ["Mi", 2 ** 20], ["Ki", 2 ** 10]].find(([, one]) => number >= one) ?? ["", 1];
  return `${number / size >= 10 ? Math.round(number / size) : (number / size).toFixed(1)}${unit}`;
}

/** Figures of pods or nodes by `namespace/name`, asked for from time to time until `signal` says so. */
export async function follow(resource, namespace, signal, changed) {
  if (!hasMetrics()) return;
  const inside = resource === "pods" && namespace ? `/namespaces/${encodeURIComponent(namespace)}` : "";
  while (!signal.aborted) {
    try {
      const list = await ask(`/apis/metrics.k8s.io/v1beta1${inside}/${resource}`, { background: true, signal });
      changed(new Map(list.items.map((item) => [`${item.metadata.namespace ?? ""}/${item.metadata.name}`, sum(item)])));
    } catch {
      // Who may not see figures, or whose metrics server is down, sees lists without them.
    }
    await new Promise((done) => setTimeout(done, INTERVAL));
  }
}

function sum(item) {
  const usages = item.usage ? [item.usage] : (item.containers ?? []).map((container) => container.usage);
  const total = (name) => usages.reduce((all, usage) => all + quantity(usage?.[name]), 0);
  return { cpu: total("cpu"), memory: total("memory") };
}
