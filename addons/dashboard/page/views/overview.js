// How the namespace's workloads are.

import { find, listLink, plural } from "../discovery.js";
import { fill, h, mood } from "../dom.js";
import { TableStore } from "../store.js";
import { tableOf } from "./list.js";

const WORKLOADS = ["apps/deployments", "apps/statefulsets", "apps/daemonsets", "core/pods", "batch/jobs", "batch/cronjobs", "apps/replicasets", "core/nodes"];
/** The circle's circumference. */
const AROUND = 2 * Math.PI * 15;

export function overview(main, { namespace, setTitle }) {
  setTitle("Overview");
  const resources = WORKLOADS.map((name) => find(...name.split("/"))).filter(Boolean);
  const stores = resources.map((resource) => {
    const body = h("div", { class: "state" });
    const card = h("a", { class: "card", href: listLink(resource) }, h("h2", {}, plural(resource)), body);
    const store = new TableStore(resource, resource.namespaced ? namespace : "").start((store) => fill(body, summary(store)));
    return { card, store };
  });
  const events = find("", "events");
  const table = events && tableOf("Warnings", events, { namespaces: !namespace });
  const store = events && new TableStore(events, namespace, { fieldSelector: "type=Warning" }).start(table.changed);
  fill(main, h("h1", {}, namespace ? `Overview of ${namespace}` : "Overview"), h("div", { class: "cards" }, stores.map(({ card }) => card)),
    table && [h("h2", {}, "Warnings"), table.element]);
  return () => {
    for (const one of stores) one.store.stop();
    store?.stop();
    table?.stop();
  };
}

function summary(store) {
  if (store.state === "loading" && !store.rows.size) return h("span", { class: "muted" }, "…");
  if (store.state === "refused") return h("span", { class: "muted" }, store.error?.status === 403 ? "You may not see them." : store.error?.message);
  const counts = { good: 0, wait: 0, bad: 0 };
  for (const row of store.rows.values()) counts[health(store, row)]++;
  const names = { good: "healthy", wait: "waiting", bad: "failing" };
  const text = Object.entries(counts).filter(([, count]) => count).map(([kind, count]) => h("li", {}, h("span", { class: `status ${kind}` }, `${count} ${names[kind]}`)));
  return [donut(counts, store.rows.size), h("ul", { class: "plain" }, text.length ? text : h("li", { class: "muted" }, "none"))];
}

/** "good", "wait" or "bad", by what kubectl's columns say. */
function health(store, row) {
  const cell = (name) => row.cells[store.column(name)];
  const state = cell("Status");
  if (state !== undefined) {
    const kind = mood(state);
    if (kind !== "good" || store.resource.resource !== "pods") return kind || "good";
  }
  const ready = cell("Ready") ?? cell("Completions");
  const [have, want] = store.column("Desired") >= 0 ? [Number(ready), Number(cell("Desired"))] : String(ready ?? "").split("/").map(Number);
  if (state === "Completed" || Number.isNaN(have) || Number.isNaN(want) || want === undefined) return "good";
  return have >= want ? "good" : "wait";
}

function donut(counts, all) {
  let start = 0;
  const arcs = Object.entries(counts).filter(([, count]) => count).map(([kind, count]) => {
    const length = (count / all) * AROUND;
    const arc = h("circle", { class: kind, cx: 20, cy: 20, r: 15, "stroke-dasharray": `${length} ${AROUND - length}`, "stroke-dashoffset": -start });
    start += length;
    return arc;
  });
  return h("div", { class: "donut" }, h("svg", { viewBox: "0 0 40 40", "aria-hidden": "true" }, h("circle", { class: "ground", cx: 20, cy: 20, r: 15 }), arcs),
    h("span", {}, String(all)));
}
