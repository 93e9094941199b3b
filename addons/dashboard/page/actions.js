// What can be done to an object.

import { ask, query } from "./api.js";
import { find, listLink, path, viewLink } from "./discovery.js";
import { attempt, dialog, errorBox, field } from "./dialog.js";
import { age, button, fill, h, notice } from "./dom.js";
import { diff, hunks } from "./diff.js";
import { delay } from "./store.js";

const MERGE = "application/merge-patch+json";
const STRATEGIC = "application/strategic-merge-patch+json";
const JSON_PATCH = "application/json-patch+json";
const MANAGER = "kube-dashboard";
/** Workloads that have a rollout. */
const ROLLOUTS = ["deployments", "statefulsets", "daemonsets"];
/** Pause before an eviction that a budget does not allow is tried again. */
const EVICT_AGAIN = 5_000;

/**
 * The actions of a row or object: names and what they do.
 * @param {import("./discovery.js").Resource} resource
 * @param {{name: string, namespace: string}} target
 * @param {any} object its whole object, if it is at hand
 * @returns {[string, () => any, ("danger" | undefined)?][]}
 */
export function actionsOf(resource, target, object) {
  const { name, namespace } = target;
  const actions = [];
  const go = (tab) => () => { location.hash = viewLink(resource, namespace, name, tab); };
  const is = (group, ...names) => resource.group === group && names.includes(resource.resource);
  if (is("", "pods")) actions.push(["Logs", go("logs")], ["Exec", go("exec")]);
  if (resource.subresources.includes("scale")) actions.push(["Scale", () => scale(resource, target)]);
  if (is("apps", ...ROLLOUTS)) actions.push(["Restart", () => restart(resource, target)], ["History", () => history(resource, target)]);
  if (is("batch", "cronjobs")) actions.push(["Trigger", () => trigger(resource, target)], ["Suspend or resume", () => suspend(resource, target)]);
  if (is("", "nodes")) {
    if (object?.spec?.unschedulable !== true) actions.push(["Cordon", () => cordon(resource, target, true)]);
    if (object?.spec?.unschedulable !== false && (object === null || object.spec?.unschedulable)) actions.push(["Uncordon", () => cordon(resource, target, false)]);
    actions.push(["Drain", () => drain(resource, target)]);
  }
  if (resource.verbs.includes("update")) actions.push(["Edit", go("yaml")]);
  if (resource.verbs.includes("delete")) actions.push(["Delete", () => remove(resource, target), "danger"]);
  return actions;
}

/** Actions behind one button. */
export function menu(resource, target) {
  return button("⋯", (event) => {
    const items = actionsOf(resource, target, null);
    const list = h("div", { class: "menu", role: "menu", popover: "auto" },
      items.map(([label, act, kind]) => h("button", { type: "button", role: "menuitem", class: kind,
        on: { click: () => { list.hidePopover(); act(); } } }, label)));
    document.body.append(list);
    const place = event.currentTarget.getBoundingClientRect();
    list.addEventListener("toggle", (change) => change.newState === "closed" && list.remove());
    list.showPopover();
    const height = list.offsetHeight;
    list.style.top = `${place.bottom + height > innerHeight ? Math.max(4, place.top - height) : place.bottom}px`;
    list.style.left = `${Math.max(4, place.right - list.offsetWidth)}px`;
    list.querySelector("button")?.focus();
  }, { class: "icon", "aria-label": `Actions for ${target.name}`, "aria-haspopup": "menu" });
}

function patch(resource, { namespace, name }, body, type = MERGE, options = {}) {
  const parameters = query({ fieldManager: MANAGER, dryRun: options.dryRun });
  return ask(path(resource, namespace, name, options.subresource) + parameters, { method: "PATCH", body, type });
}

function where(resource, { namespace, name }) {
  return `${resource.kind} ${namespace && resource.namespaced ? `${namespace}/` : ""}${name}`;
}

async function scale(resource, target) {
  const current = await attempt("", () => ask(path(resource, target.namespace, target.name, "scale")));
  if (!current) return;
  const input = h("input", { name: "replicas", type: "number", min: 0, required: true, value: current.spec?.replicas ?? 0 });
  dialog(`Scale ${where(resource, target)}`, [
    h("p", {}, `Replicas wanted: ${current.spec?.replicas ?? 0}, running: ${current.status?.replicas ?? 0}.`),
    field("Replicas", input),
  ], { label: "Scale", act: async ({ replicas }) => {
    await patch(resource, target, { spec: { replicas: Number(replicas) } }, MERGE, { subresource: "scale" });
    notice(`Scaled to ${replicas}.`, "good");
  } });
}

function restart(resource, target) {
  dialog(`Restart ${where(resource, target)}?`, [h("p", {}, "Its pods are replaced one after the other, as its strategy says.")], {
    label: "Restart", act: async () => {
      const annotations = { "kubectl.kubernetes.io/restartedAt": new Date().toISOString() };
      await patch(resource, target, { spec: { template: { metadata: { annotations } } } });
      notice("The rollout has begun.", "good");
    },
  });
}

/** Revisions of a workload, the newest first: of a Deployment its ReplicaSets, else ControllerRevisions. */
async function revisions(resource, target) {
  const object = await ask(path(resource, target.namespace, target.name));
  const isDeployment = resource.resource === "deployments";
  const kind = find("apps", isDeployment ? "replicasets" : "controllerrevisions");
  const labels = Object.entries(object.spec.selector?.matchLabels ?? {}).map((pair) => pair.join("=")).join(",");
  const list = await ask(path(kind, target.namespace) + query({ labelSelector: labels }));
  const own = list.items.filter((item) => item.metadata.ownerReferences?.some((owner) => owner.uid === object.metadata.uid));
  const number = (item) => Number(isDeployment ? item.metadata.annotations?.["deployment.kubernetes.io/revision"] : item.revision);
  const template = (item) => (isDeployment ? item.spec.template : item.data.spec.template);
  const found = own.map((item) => ({ number: number(item), template: plain(template(item)), data: item.data, created: item.metadata.creationTimestamp,
    cause: item.metadata.annotations?.["kubernetes.io/change-cause"] ?? "" }));
  return { object, found: found.sort((a, b) => b.number - a.number) };
}

function plain(template) {
  const copy = structuredClone(template);
  delete copy.metadata?.labels?.["pod-template-hash"];
  delete copy.$patch;
  return copy;
}

async function history(resource, target) {
  let all;
  try {
    all = await revisions(resource, target);
  } catch (error) {
    dialog("Error", [errorBox(error)], null);
    return;
  }
  const { object, found } = all;
  const now = plain(object.spec.template);
  const rows = found.map((revision, at) => h("details", {},
    h("summary", {}, `Revision ${revision.number}, ${age(revision.created)} old ${at === 0 ? "(current)" : ""} ${revision.cause}`),
    diffBox(JSON.stringify(now, null, 2), JSON.stringify(revision.template, null, 2)),
    at > 0 && button(`Roll back to revision ${revision.number}`, () => rollBack(resource, target, revision), { class: "primary" })));
  dialog(`History of ${where(resource, target)}`, [h("p", {}, "What a rollback would change in the pods' template:"), ...rows], null);
}

async function rollBack(resource, target, revision) {
  const isDeployment = resource.resource === "deployments";
  const body = isDeployment ? [{ op: "replace", path: "/spec/template", value: revision.template }] : revision.data;
  const type = isDeployment ? JSON_PATCH : STRATEGIC;
  const done = await attempt(`Rolled back to revision ${revision.number}.`, async () => {
    await patch(resource, target, body, type, { dryRun: "All" });
    return patch(resource, target, body, type);
  });
  if (done) document.querySelector("dialog")?.close();
}

function trigger(resource, target) {
  dialog(`Run ${where(resource, target)} now?`, [h("p", {}, "A Job is made of its template.")], { label: "Run", act: async () => {
    const cron = await ask(path(resource, target.namespace, target.name));
    const { labels, annotations } = cron.spec.jobTemplate.metadata ?? {};
    const owner = { apiVersion: "batch/v1", kind: "CronJob", name: target.name, uid: cron.metadata.uid, controller: true };
    const metadata = { name: `${target.name.slice(0, 40)}-manual-${Math.random().toString(36).slice(2, 7)}`, labels,
      annotations: { ...annotations, "cronjob.kubernetes.io/instantiate": "manual" }, ownerReferences: [owner] };
    const job = { apiVersion: "batch/v1", kind: "Job", metadata, spec: cron.spec.jobTemplate.spec };
    await ask(path(find("batch", "jobs"), target.namespace) + query({ fieldManager: MANAGER }), { method: "POST", body: job });
    notice(`Made the Job ${metadata.name}.`, "good");
  } });
}

async function suspend(resource, target) {
  await attempt("Changed.", async () => {
    const cron = await ask(path(resource, target.namespace, target.name));
    await patch(resource, target, { spec: { suspend: !cron.spec.suspend } });
  });
}

function cordon(resource, target, unschedulable) {
  return attempt(unschedulable ? "No more pods are put there." : "Pods may be put there again.",
    () => patch(resource, target, { spec: { unschedulable: unschedulable || null } }));
}

/** What becomes of a pod when its node is drained. */
export function drainPlan(pod) {
  const owner = pod.metadata.ownerReferences?.find((one) => one.controller);
  if (pod.metadata.annotations?.["kubernetes.io/config.mirror"]) return { stays: "static pod" };
  if (owner?.kind === "DaemonSet") return { stays: "of a DaemonSet" };
  const isDone = ["Succeeded", "Failed"].includes(pod.status?.phase);
  if (!owner && !isDone) return { warns: "of no controller: nobody makes it again" };
  if (pod.spec.volumes?.some((volume) => volume.emptyDir) && !isDone) return { warns: "its emptyDir is lost" };
  return {};
}

async function drain(resource, target) {
  const pods = find("", "pods");
  const list = await attempt("", () => ask(path(pods, "") + query({ fieldSelector: `spec.nodeName=${target.name}` })));
  if (!list) return;
  const planned = list.items.map((pod) => ({ pod, ...drainPlan(pod) }));
  const leaving = planned.filter((one) => !one.stays);
  const progress = h("ul", { class: "progress", "aria-live": "polite" });
  const stop = new AbortController();
  const box = dialog(`Drain ${where(resource, target)}?`, [
    h("p", {}, `The node is cordoned, and ${leaving.length} of its ${planned.length} pods are evicted, as their disruption budgets allow.`),
    h("ul", {}, planned.filter((one) => one.warns || one.stays).map(({ pod, warns, stays }) =>
      h("li", { class: warns ? "warns" : "" }, `${pod.metadata.namespace}/${pod.metadata.name}: ${warns ?? `stays, ${stays}`}`))),
    progress,
  ], { label: "Drain", danger: true, act: async () => {
    await patch(resource, target, { spec: { unschedulable: true } });
    await Promise.all(leaving.map(({ pod }) => evict(pods, pod, progress, stop.signal)));
    notice("The node is drained.", "good");
  } });
  box.addEventListener("close", () => stop.abort());
}

async function evict(pods, pod, progress, signal) {
  const { name, namespace, uid } = pod.metadata;
  const line = h("li", {}, `${namespace}/${name}: evicting`);
  progress.append(line);
  const say = (text) => fill(line, `${namespace}/${name}: ${text}`);
  const body = { apiVersion: "policy/v1", kind: "Eviction", metadata: { name, namespace }, deleteOptions: { preconditions: { uid } } };
  while (!signal.aborted) {
    try {
      await ask(path(pods, namespace, name, "eviction"), { method: "POST", body, signal });
      break;
    } catch (error) {
      if (error.status === 404 || error.status === 409) break;
      if (error.status !== 429) throw error;
      say(`waiting: ${error.message}`);
      await delay(EVICT_AGAIN, signal);
    }
  }
  while (!signal.aborted) {
    const now = await ask(path(pods, namespace, name), { signal }).catch((error) => (error.status === 404 ? null : Promise.reject(error)));
    if (!now || now.metadata.uid !== uid) return say("gone");
    say("ending");
    await delay(1_000, signal);
  }
}

function remove(resource, target) {
  const select = h("select", { name: "propagation" }, [["Background", "after it, in the background"], ["Foreground", "before it"], ["Orphan", "not at all"]]
    .map(([value, label]) => h("option", { value }, label)));
  dialog(`Delete ${where(resource, target)}?`, [
    h("p", {}, "This cannot be undone."), field("What it owns is deleted", select),
    field("At once, without its grace period", h("input", { type: "checkbox", name: "now" })),
  ], { label: "Delete", danger: true, act: async ({ propagation, now }) => {
    const body = { apiVersion: "v1", kind: "DeleteOptions", propagationPolicy: propagation, gracePeriodSeconds: now ? 0 : undefined };
    await ask(path(resource, target.namespace, target.name), { method: "DELETE", body });
    notice(`Deleted ${target.name}.`, "good");
    if (location.hash.split("?")[0] === viewLink(resource, target.namespace, target.name)) location.hash = listLink(resource);
  } });
}

/** What differs between two texts. */
export function diffBox(before, after) {
  const lines = hunks(diff(before, after));
  if (!lines.length) return h("p", { class: "muted" }, "No difference.");
  const name = { "+": "added", "-": "removed", "=": "" };
  return h("pre", { class: "diff", tabindex: "0" }, lines.map((line) => line === null ? h("span", { class: "gap" }, "⋯\n")
    : h("span", { class: name[line[0]] }, `${line[0] === "=" ? " " : line[0]} ${line[1]}\n`)));
}
