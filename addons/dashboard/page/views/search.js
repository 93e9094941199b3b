// All objects with a text in their names or labels.

import { ask, query } from "../api.js";
import { listable, path, viewLink } from "../discovery.js";
import { age, fill, h } from "../dom.js";

const METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
/** Objects that are asked for at a time, and kinds. */
const PART = 500;
const KINDS = 6;
/** Most that is shown. */
const MOST = 500;
/** What comes and goes by itself. */
const LEFT_OUT = new Set(["events", "leases", "componentstatuses", "controllerrevisions"]);

export function search(main, { namespace, options, setTitle }) {
  const words = (options.get("q") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  setTitle("Search");
  const stopped = new AbortController();
  const found = [];
  const body = h("tbody", {});
  const progress = h("p", { class: "muted", role: "status" });
  fill(main, h("h1", {}, `Search: ${words.join(" ")}`), progress,
    h("table", { class: "list" }, h("thead", {}, h("tr", {}, ["Kind", "Name", "Namespace", "Age"].map((name) => h("th", { scope: "col" }, name)))), body));
  const add = (resource, items) => {
    for (const { metadata } of items) {
      const text = [metadata.name, ...Object.entries(metadata.labels ?? {}).map((pair) => pair.join("="))].join("\n").toLowerCase();
      if (words.every((word) => text.includes(word)) && found.length < MOST) {
        found.push(metadata);
        body.append(h("tr", {}, h("td", {}, resource.kind), h("td", {}, h("a", { href: viewLink(resource, metadata.namespace, metadata.name) }, metadata.name)),
          h("td", {}, metadata.namespace ?? ""), h("td", {}, age(metadata.creationTimestamp))));
      }
    }
  };
  run(words, namespace, add, stopped.signal, (done, all) => fill(progress, done < all ? `Searching… ${done} of ${all} kinds`
    : `${found.length}${found.length === MOST ? " and more" : ""} found${namespace ? ` in ${namespace} and outside of namespaces` : ""}.`));
  return () => stopped.abort();
}

async function run(words, namespace, add, signal, tell) {
  const waiting = words.length ? listable().filter((resource) => !LEFT_OUT.has(resource.resource) && resource.group !== "metrics.k8s.io") : [];
  const all = waiting.length;
  let done = 0;
  tell(done, all);
  const worker = async () => {
    for (let resource = waiting.shift(); resource && !signal.aborted; resource = waiting.shift()) {
      // What one may not see is not found.
      await each(resource, namespace, signal, (items) => add(resource, items)).catch(() => {});
      tell(++done, all);
    }
  };
  await Promise.all(Array.from({ length: KINDS }, worker));
}

async function each(resource, namespace, signal, take) {
  let next = "";
  do {
    const list = await ask(path(resource, namespace) + query({ limit: PART, continue: next }), { accept: METADATA, signal, background: true });
    take(list.items ?? []);
    next = list.metadata?.continue ?? "";
  } while (next);
}
