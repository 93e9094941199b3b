// What the apiserver serves.

import { ask } from "./api.js";

const AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/**
 * @typedef {{group: string, version: string, resource: string, kind: string, namespaced: boolean, verbs: string[],
 *   subresources: string[], shortNames: string[]}} Resource
 */

/** @type {Resource[]} */
let known = [];

/** Asks what there is. Groups whose servers do not answer are left out. */
export async function discover() {
  const documents = await Promise.all(["/api", "/apis"].map((path) => ask(path, { accept: AGGREGATED })));
  known = documents.flatMap((document) => document.items ?? []).flatMap(ofGroup);
}

/** Each resource of a group in the first version that has it: versions come in the order of preference. */
function ofGroup(group) {
  const found = new Map();
  for (const version of group.versions ?? []) {
    for (const entry of version.resources ?? []) {
      if (!found.has(entry.resource)) {
        found.set(entry.resource, {
          group: group.metadata?.name ?? "",
          version: version.version,
          resource: entry.resource,
          kind: entry.responseKind?.kind ?? entry.resource,
          namespaced: entry.scope === "Namespaced",
          verbs: entry.verbs ?? [],
          subresources: (entry.subresources ?? []).map((sub) => sub.subresource),
          shortNames: entry.shortNames ?? [],
        });
      }
    }
  }
  return [...found.values()];
}

/** @returns {Resource[]} all that can be listed */
export function listable() {
  return known.filter((resource) => resource.verbs.includes("list"));
}

/** @returns {Resource | undefined} */
export function find(group, resource) {
  const name = group === "core" ? "" : group;
  return known.find((entry) => entry.group === name && entry.resource === resource);
}

/** @returns {Resource | undefined} */
export function ofKind(apiVersion, kind) {
  const [group, version] = apiVersion.includes("/") ? apiVersion.split("/") : ["", apiVersion];
  const entry = known.find((one) => one.group === group && one.kind === kind);
  return entry && { ...entry, version };
}

/** Whether there are figures of use. */
export function hasMetrics() {
  return known.some((entry) => entry.group === "metrics.k8s.io" && entry.resource === "pods");
}

/** The path of a collection, an object, or a subresource of one. */
export function path(resource, namespace, name, subresource) {
  const root = resource.group ? `/apis/${resource.group}/${resource.version}` : `/api/${resource.version}`;
  const inside = resource.namespaced && namespace ? `/namespaces/${encodeURIComponent(namespace)}` : "";
  const object = name === undefined || name === null ? "" : `/${encodeURIComponent(name)}`;
  return `${root}${inside}/${resource.resource}${object}${subresource ? `/${subresource}` : ""}`;
}

/** The address of a page. */
export function listLink(resource) {
  return `#/list/${resource.group || "core"}/${resource.resource}`;
}

/** The address of an object's page. */
export function viewLink(resource, namespace, name, tab) {
  const parts = [resource.group || "core", resource.resource, resource.namespaced ? namespace : "-", name];
  return `#/view/${parts.map(encodeURIComponent).join("/")}${tab ? `?tab=${tab}` : ""}`;
}

/** "HorizontalPodAutoscaler" as "Horizontal Pod Autoscalers". */
export function plural(resource) {
  const words = resource.kind.replace(/([a-z])([A-Z])/g, "$1 $2");
  if (resource.resource === resource.kind.toLowerCase()) return words;
  return resource.resource.endsWith("ies") ? `${words.slice(0, -1)}ies` : resource.resource.endsWith("sses") ? `${words}es` : `${words}s`;
}
