// What the details of each kind show beside what all objects have.

import { ask } from "../api.js";
import { find, path, viewLink } from "../discovery.js";
import { errorBox } from "../dialog.js";
import { age, button, facts, fill, h, status } from "../dom.js";

/** By group and resource. */
const SECTIONS = {
  "core/pods": pod,
  "apps/deployments": workload,
  "apps/statefulsets": workload,
  "apps/daemonsets": workload,
  "apps/replicasets": workload,
  "core/replicationcontrollers": workload,
  "batch/jobs": workload,
  "batch/cronjobs": cronJob,
  "core/services": service,
  "core/nodes": node,
  "core/configmaps": configMap,
  "core/secrets": secret,
  "networking.k8s.io/ingresses": ingress,
  "rbac.authorization.k8s.io/roles": role,
  "rbac.authorization.k8s.io/clusterroles": role,
  "rbac.authorization.k8s.io/rolebindings": binding,
  "rbac.authorization.k8s.io/clusterrolebindings": binding,
};

/** @param {import("../discovery.js").Resource} resource */
export function sections(resource, object) {
  const make = SECTIONS[`${resource.group || "core"}/${resource.resource}`] ?? other;
  return make(object, resource);
}

function card(title, ...content) {
  return h("section", { class: "card" }, h("h2", {}, title), content);
}

function table(titles, rows) {
  return h("table", {}, h("thead", {}, h("tr", {}, titles.map((title) => h("th", { scope: "col" }, title)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell) => h("td", { class: "wrap" }, cell))))));
}

function link(group, resource, namespace, name) {
  const kind = find(group, resource);
  return name && (kind ? h("a", { href: viewLink(kind, namespace, name) }, name) : name);
}

function pod({ spec, status: state = {}, metadata }) {
  const statuses = [...(state.initContainerStatuses ?? []), ...(state.containerStatuses ?? []), ...(state.ephemeralContainerStatuses ?? [])];
  const all = [...(spec.initContainers ?? []).map((one) => ["init ", one]), ...spec.containers.map((one) => ["", one]), ...(spec.ephemeralContainers ?? []).map((one) => ["ephemeral ", one])];
  return [
    card("Pod", facts([
      ["Phase", state.phase && status(state.phase)],
      ["Message", state.message],
      ["Node", link("", "nodes", "", spec.nodeName)],
      ["Addresses", state.podIPs?.map((one) => one.ip).join(", ")],
      ["Service account", link("", "serviceaccounts", metadata.namespace, spec.serviceAccountName)],
      ["Quality of service", state.qosClass],
      ["Priority class", spec.priorityClassName],
      ["Restart policy", spec.restartPolicy],
      ["Volumes", spec.volumes?.map((volume) => volumeText(volume)).join(", ")],
    ])),
    card("Containers", all.map(([kind, one]) => container(one, kind, statuses.find((state) => state.name === one.name)))),
  ];
}

function volumeText({ name, ...source }) {
  const [kind, value] = Object.entries(source)[0] ?? ["", {}];
  return `${name} (${kind}${value?.name ?? value?.secretName ?? value?.claimName ?? value?.path ? ` ${value.name ?? value.secretName ?? value.claimName ?? value.path}` : ""})`;
}

function container(one, kind, state) {
  const [word, detail] = Object.entries(state?.state ?? {})[0] ?? ["", {}];
  const before = state?.lastState?.terminated;
  return h("details", { "data-key": one.name, open: !kind }, h("summary", {}, `${kind}${one.name}`, " ", word && status(detail.reason ?? word)), facts([
    ["Image", h("code", {}, one.image)],
    ["State", word && `${word}${detail.startedAt ? `, ${age(detail.startedAt)} ago` : ""}${detail.exitCode !== undefined ? `, exit code ${detail.exitCode}` : ""}`],
    ["Message", detail?.message],
    ["Restarts", state && `${state.restartCount}${before ? `, the last ${age(before.finishedAt)} ago: ${before.reason ?? ""} (exit code ${before.exitCode})` : ""}`],
    ["Command", [...(one.command ?? []), ...(one.args ?? [])].length ? h("code", {}, [...(one.command ?? []), ...(one.args ?? [])].join(" ")) : null],
    ["Ports", one.ports?.map((port) => `${port.name ? `${port.name}: ` : ""}${port.containerPort}/${port.protocol ?? "TCP"}`).join(", ")],
    ["Requests", pairs(one.resources?.requests)],
    ["Limits", pairs(one.resources?.limits)],
    ["Environment", one.env?.length ? h("ul", { class: "plain" }, one.env.map((variable) => h("li", {}, h("code", {}, `${variable.name}=${variable.value ?? from(variable.valueFrom)}`)))) : null],
    ["Mounts", one.volumeMounts?.map((mount) => `${mount.name} at ${mount.mountPath}${mount.readOnly ? " (read only)" : ""}`).join(", ")],
    ["Probes", ["startupProbe", "readinessProbe", "livenessProbe"].filter((probe) => one[probe]).map((probe) => probe.replace("Probe", "")).join(", ")],
  ]));
}

function from(source) {
  const [kind, value] = Object.entries(source ?? {})[0] ?? [];
  return kind ? `‹${kind.replace("KeyRef", "").replace("Ref", "")} ${value.name ?? ""} ${value.key ?? value.fieldPath ?? value.resource ?? ""}›` : "";
}

function pairs(object) {
  return Object.entries(object ?? {}).map((pair) => pair.join(" ")).join(", ");
}

function templates(spec) {
  const template = spec.template?.spec;
  return template && card("Containers", [...(template.initContainers ?? []).map((one) => container(one, "init ")), ...(template.containers ?? []).map((one) => container(one, ""))]);
}

function workload({ spec, status: state = {} }) {
  const counts = [["wanted", spec.replicas ?? spec.completions ?? state.desiredNumberScheduled], ["current", state.currentNumberScheduled], ["ready", state.readyReplicas ?? state.numberReady ?? state.ready],
    ["up to date", state.updatedReplicas ?? state.updatedNumberScheduled], ["available", state.availableReplicas ?? state.numberAvailable],
    ["active", state.active], ["succeeded", state.succeeded], ["failed", state.failed]];
  return [card("Workload", facts([
    ["Pods", counts.filter(([, count]) => count !== undefined).map(([name, count]) => `${count} ${name}`).join(", ")],
    ["Strategy", spec.strategy?.type ?? spec.updateStrategy?.type],
    ["Rolling update", pairs(spec.strategy?.rollingUpdate ?? spec.updateStrategy?.rollingUpdate)],
    ["Selector", pairs(spec.selector?.matchLabels ?? (spec.selector?.matchExpressions ? {} : spec.selector))],
    ["Paused", spec.paused && "yes"],
    ["Service", spec.serviceName],
    ["Parallelism", spec.parallelism],
    ["Tries", spec.backoffLimit],
  ])), templates(spec)];
}

function cronJob({ spec, status: state = {} }) {
  return [card("Schedule", facts([
    ["Schedule", h("code", {}, spec.schedule)], ["Time zone", spec.timeZone], ["Suspended", spec.suspend ? "yes" : "no"], ["Concurrency", spec.concurrencyPolicy],
    ["Last run", state.lastScheduleTime && `${age(state.lastScheduleTime)} ago`], ["Last success", state.lastSuccessfulTime && `${age(state.lastSuccessfulTime)} ago`], ["Active", state.active?.length],
  ])), templates(spec.jobTemplate?.spec ?? {})];
}

function service({ spec, status: state = {} }) {
  return card("Service", facts([
    ["Type", spec.type], ["Cluster addresses", spec.clusterIPs?.join(", ") ?? spec.clusterIP], ["External name", spec.externalName],
    ["External addresses", [...(spec.externalIPs ?? []), ...(state.loadBalancer?.ingress ?? []).map((one) => one.ip ?? one.hostname)].join(", ")],
    ["Selector", pairs(spec.selector)], ["Session affinity", spec.sessionAffinity],
  ]), spec.ports && table(["Port", "Name", "Target", "Node port", "Protocol"], spec.ports.map((port) => [port.port, port.name ?? "", port.targetPort ?? "", port.nodePort ?? "", port.protocol ?? "TCP"])));
}

function node({ spec, status: state = {} }) {
  const info = state.nodeInfo ?? {};
  const amounts = Object.keys(state.capacity ?? {});
  return [card("Node", facts([
    ["Scheduling", spec.unschedulable ? status("SchedulingDisabled") : "enabled"],
    ["Addresses", state.addresses?.map((one) => `${one.type} ${one.address}`).join(", ")],
    ["Pod networks", spec.podCIDRs?.join(", ")],
    ["Taints", spec.taints?.map((taint) => `${taint.key}${taint.value ? `=${taint.value}` : ""}:${taint.effect}`).join(", ")],
    ["System", [info.osImage, info.kernelVersion, info.architecture].filter(Boolean).join(", ")],
    ["Kubelet", info.kubeletVersion], ["Container runtime", info.containerRuntimeVersion], ["Images", state.images?.length],
  ])), amounts.length ? card("Resources", table(["Resource", "Capacity", "For pods"], amounts.map((name) => [name, state.capacity[name], state.allocatable?.[name] ?? ""]))) : null];
}

function configMap({ data = {}, binaryData = {} }) {
  const entries = Object.entries(data).map(([key, value]) => h("details", { "data-key": key, open: value.length < 2000 }, h("summary", {}, key), h("pre", { tabindex: "0" }, value)));
  return card("Data", entries, Object.keys(binaryData).map((key) => h("p", {}, `${key} (binary)`)), entries.length === 0 && h("p", { class: "muted" }, "Nothing."));
}

/** Values come only when somebody asks for them, and each is shown by a click of its own. */
function secret(object, resource) {
  const { name, namespace } = object.metadata;
  const body = h("div", {});
  const load = async () => {
    try {
      const whole = await ask(path(resource, namespace, name));
      const entries = Object.entries(whole.data ?? {});
      fill(body, h("p", { class: "muted" }, `Type ${whole.type}`), entries.map(([key, value]) => hidden(key, value)), entries.length === 0 && "Nothing.");
    } catch (error) {
      fill(body, errorBox(error));
    }
  };
  fill(body, h("p", { class: "muted" }, "What is in it has not been read from the server."), button("Read it", load));
  return card("Data", body);
}

function hidden(key, value) {
  const box = h("pre", { hidden: true, tabindex: "0" });
  const toggle = button("Show", () => {
    box.hidden = !box.hidden;
    fill(box, box.hidden ? "" : decoded(value));
    fill(toggle, box.hidden ? "Show" : "Hide");
    toggle.setAttribute("aria-expanded", String(!box.hidden));
  }, { "aria-expanded": "false", "aria-label": `Show ${key}` });
  return h("div", { class: "hidden-value" }, h("b", {}, key), h("span", { class: "muted" }, `${Math.floor(value.replace(/=+$/, "").length * 3 / 4)} bytes`), toggle, box);
}

function decoded(value) {
  const bytes = Uint8Array.from(atob(value), (character) => character.charCodeAt(0));
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return value;
  }
}

function ingress({ spec, metadata }) {
  const rows = (spec.rules ?? []).flatMap((rule) => (rule.http?.paths ?? []).map((one) => [rule.host ?? "*", one.path ?? "/", one.pathType ?? "",
    link("", "services", metadata.namespace, one.backend.service?.name) ?? "", one.backend.service?.port?.number ?? one.backend.service?.port?.name ?? ""]));
  return card("Rules", facts([["Class", spec.ingressClassName], ["TLS", spec.tls?.map((one) => `${one.hosts?.join(", ")} (${one.secretName})`).join("; ")]]),
    table(["Host", "Path", "Kind", "Service", "Port"], rows));
}

function role({ rules }) {
  return card("Rules", table(["Groups", "Resources", "Names", "Verbs"], (rules ?? []).map((rule) => [rule.apiGroups?.map((group) => group || '""').join(", ") ?? "",
    [...(rule.resources ?? []), ...(rule.nonResourceURLs ?? [])].join(", "), rule.resourceNames?.join(", ") ?? "", rule.verbs.join(", ")])));
}

function binding({ roleRef, subjects, metadata }) {
  const resource = roleRef.kind === "Role" ? "roles" : "clusterroles";
  return card("Binding", facts([["Role", [`${roleRef.kind} `, link("rbac.authorization.k8s.io", resource, metadata.namespace, roleRef.name)]]]),
    table(["Kind", "Name", "Namespace"], (subjects ?? []).map((one) => [one.kind, one.name, one.namespace ?? ""])));
}

/** Kinds that nothing is known of: their plain values. */
function other(object) {
  const tops = Object.entries(object).filter(([key]) => !["apiVersion", "kind", "metadata"].includes(key));
  return tops.filter(([, value]) => value !== null && value !== "").map(([key, value]) => {
    const title = key[0].toUpperCase() + key.slice(1);
    if (typeof value !== "object") return card(title, String(value));
    const pairs = Object.entries(value).filter(([name]) => name !== "conditions");
    return pairs.length > 0 && card(title, facts(pairs.map(([name, one]) => [name, typeof one === "object" ? h("pre", {}, JSON.stringify(one, null, 2)) : String(one)])));
  });
}
