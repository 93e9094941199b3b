// One object: what it is, how it is, what belongs to it.

import { actionsOf } from "../actions.js";
import { find, listLink, ofKind, plural, viewLink } from "../discovery.js";
import { errorBox } from "../dialog.js";
import { age, button, facts, fill, h, status } from "../dom.js";
import { ObjectStore, TableStore } from "../store.js";
import { tableOf } from "./list.js";
import { logs } from "./logs.js";
import { sections } from "./sections.js";
import { terminal } from "./terminal.js";
import { yaml } from "./yaml.js";

/** What an object's kind makes of itself: which kinds, and whether by labels or by owner. */
const CHILDREN = {
  "apps/deployments": ["apps/replicasets", "core/pods"],
  "apps/replicasets": ["core/pods"],
  "apps/statefulsets": ["core/pods"],
  "apps/daemonsets": ["core/pods"],
  "core/replicationcontrollers": ["core/pods"],
  "batch/jobs": ["core/pods"],
  "batch/cronjobs": ["batch/jobs"],
  "core/services": ["discovery.k8s.io/endpointslices", "core/pods"],
};

export function detail(main, resource, namespace, name, { options, setTitle }) {
  setTitle(`${name} · ${plural(resource)}`);
  const isPod = resource.resource === "pods" && resource.group === "";
  const tabs = [["", "Details"], ...(isPod ? [["logs", "Logs"], ["exec", "Exec"]] : []), ["yaml", "YAML"]];
  const current = options.get("tab") ?? "";
  const tools = h("div", { class: "buttons" });
  const state = h("span", {});
  const body = h("div", { class: "body" });
  fill(main,
    h("p", { class: "trail" }, h("a", { href: listLink(resource) }, plural(resource)), resource.namespaced && ` / ${namespace}`),
    h("div", { class: "head" }, h("h1", {}, name), state, h("span", { class: "grow" }), tools),
    h("div", { class: "tabs" }, tabs.map(([tab, label]) =>
      h("a", { href: viewLink(resource, namespace, name, tab), "aria-current": tab === current ? "page" : null }, label))),
    body);
  const views = { "": details, logs, exec: terminal, yaml };
  const view = (views[current] ?? details)(body, resource, namespace, name);
  const store = new ObjectStore(resource, namespace, name).start(({ object, error, isDeleted }) => {
    if (object) fill(tools, actionsOf(resource, { name, namespace }, object).map(([label, act, kind]) => button(label, act, { class: kind })));
    fill(state, object && summary(object, isDeleted));
    view.changed?.(object, error, isDeleted);
  });
  return () => {
    store.stop();
    view.stop?.();
  };
}

/** One word about how an object is. */
function summary(object, isDeleted) {
  const said = (kind, text) => h("span", { class: `status ${kind}` }, text);
  if (isDeleted) return said("bad", "Deleted");
  if (object.metadata.deletionTimestamp) return said("wait", "Terminating");
  const ended = object.status?.containerStatuses?.map((one) => one.state?.waiting?.reason ?? one.state?.terminated?.reason).find(Boolean);
  if (ended ?? object.status?.phase) return status(ended ?? object.status.phase);
  const ready = object.status?.conditions?.find((one) => ["Ready", "Available", "Complete", "Established"].includes(one.type));
  return ready && (ready.status === "True" ? said("good", ready.type) : said("wait", `Not ${ready.type.toLowerCase()}`));
}

function details(body, resource, namespace, name) {
  const top = h("div", {});
  const below = h("div", {});
  const stops = [];
  let isBegun = false;
  fill(body, top, below);
  return {
    changed(object, error) {
      if (!object) return fill(top, error ? errorBox(error) : h("p", { class: "muted" }, "…"));
      const open = new Set([...top.querySelectorAll("details[open]")].map((one) => one.dataset.key));
      fill(top, meta(object), sections(resource, object), conditions(object));
      top.querySelectorAll("details").forEach((one) => { if (open.has(one.dataset.key)) one.open = true; });
      if (!isBegun) {
        isBegun = true;
        stops.push(...related(below, resource, namespace, name, object));
      }
      return undefined;
    },
    stop: () => stops.forEach((stop) => stop()),
  };
}

function meta(object) {
  const { labels = {}, annotations = {}, ownerReferences = [], creationTimestamp, uid, namespace, finalizers } = object.metadata;
  const owners = ownerReferences.map((owner) => {
    const kind = ofKind(owner.apiVersion, owner.kind);
    const text = `${owner.kind} ${owner.name}`;
    return h("span", { class: "chip" }, kind ? h("a", { href: viewLink(kind, namespace, owner.name) }, text) : text);
  });
  const chips = (pairs) => Object.entries(pairs).map(([key, value]) => h("span", { class: "chip", title: `${key}=${value}` }, h("b", {}, key), value ? `=${short(value)}` : ""));
  return h("section", { class: "card" }, facts([
    ["Created", h("time", { datetime: creationTimestamp, title: creationTimestamp }, `${age(creationTimestamp)} ago`)],
    ["Owned by", owners.length ? owners : null],
    ["Labels", Object.keys(labels).length ? chips(labels) : null],
    ["Annotations", Object.keys(annotations).length ? chips(annotations) : null],
    ["Finalizers", finalizers?.join(", ")],
    ["UID", uid && h("code", {}, uid)],
  ]));
}

function short(text) {
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

function conditions(object) {
  const list = object.status?.conditions;
  if (!Array.isArray(list) || !list.length) return null;
  /** Conditions that are bad when they are true. */
  const isBad = (one) => /Pressure|Unavailable|Failure|Failed|Degraded/.test(one.type);
  const shown = (one) => h("span", { class: `status ${one.status === "Unknown" ? "wait" : (one.status === "True") !== isBad(one) ? "good" : isBad(one) ? "bad" : "wait"}` }, one.status);
  return h("section", { class: "card" }, h("h2", {}, "Conditions"), h("table", {}, h("thead", {}, h("tr", {}, ["Type", "Status", "Since", "Reason", "Message"].map((title) => h("th", { scope: "col" }, title)))),
    h("tbody", {}, list.map((one) => h("tr", {}, h("td", {}, one.type), h("td", {}, shown(one)), h("td", {}, age(one.lastTransitionTime)), h("td", {}, one.reason ?? ""), h("td", { class: "wrap" }, one.message ?? ""))))));
}

/** Tables of what belongs to an object, and of its events; how to stop them. */
function related(below, resource, namespace, name, object) {
  const key = `${resource.group || "core"}/${resource.resource}`;
  const uid = object.metadata.uid;
  const labels = selector(object);
  const tables = [];
  const owns = new Set([uid]);
  for (const child of CHILDREN[key] ?? []) {
    const kind = find(...child.split("/"));
    if (!kind || (key === "core/services" && child === "core/pods" && !labels)) continue;
    const isService = key === "core/services";
    const selectors = child === "discovery.k8s.io/endpointslices" ? { labelSelector: `kubernetes.io/service-name=${name}` } : labels ? { labelSelector: labels } : {};
    tables.push([plural(kind), kind, namespace, selectors, isService ? () => true : owned(kind, owns)]);
  }
  if (key === "core/nodes") tables.push(["Pods", find("", "pods"), "", { fieldSelector: `spec.nodeName=${name}` }, () => true]);
  if (key === "apiextensions.k8s.io/customresourcedefinitions") {
    const kind = find(object.spec.group, object.spec.names.plural);
    if (kind) tables.push(["Objects", kind, "", {}, () => true]);
  }
  const events = find("", "events");
  const ofObject = `involvedObject.name=${name},involvedObject.kind=${resource.kind}${key === "core/nodes" ? "" : `,involvedObject.uid=${uid}`}`;
  if (events) tables.push(["Events", events, namespace, { fieldSelector: ofObject }, () => true]);
  return tables.flatMap(([title, kind, inside, selectors, where]) => {
    const table = tableOf(title, kind, { namespaces: kind.namespaced && !inside, where });
    below.append(h("section", { class: "card" }, h("h2", {}, title), table.element));
    const store = new TableStore(kind, inside, selectors).start((changed) => table.changed(changed));
    return [() => store.stop(), table.stop];
  });
}

/** Whether a row is an object's, or one of its children's: what is found owns others in its turn. */
function owned(kind, owns) {
  return (row) => {
    const isOwn = row.owners.some((owner) => owns.has(owner.uid));
    if (isOwn && kind.resource === "replicasets") owns.add(row.uid);
    return isOwn;
  };
}

/** The labels that an object selects by, as a query has them. */
function selector(object) {
  const given = object.spec?.selector;
  if (!given) return "";
  const pairs = Object.entries(given.matchLabels ?? (given.matchExpressions ? {} : given)).map(([key, value]) => `${key}=${value}`);
  const sets = (given.matchExpressions ?? []).map(({ key, operator, values = [] }) => (
    { In: `${key} in (${values})`, NotIn: `${key} notin (${values})`, Exists: key, DoesNotExist: `!${key}` }[operator]));
  return [...pairs, ...sets].join(",");
}

