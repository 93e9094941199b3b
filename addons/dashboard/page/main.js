// The frame: who is there, which namespace, what the address says.

import { own } from "./api.js";
import { discover, find, listable, listLink, plural } from "./discovery.js";
import { errorBox } from "./dialog.js";
import { button, fill, h } from "./dom.js";
import { TableStore } from "./store.js";
import { create } from "./views/create.js";
import { detail } from "./views/detail.js";
import { kinds } from "./views/kinds.js";
import { list } from "./views/list.js";
import { login } from "./views/login.js";
import { overview } from "./views/overview.js";
import { search } from "./views/search.js";

/** What the side bar shows, of what the server has. */
const SECTIONS = [
  ["Workloads", ["apps/deployments", "apps/statefulsets", "apps/daemonsets", "core/pods", "batch/jobs", "batch/cronjobs", "apps/replicasets",
    "core/replicationcontrollers", "autoscaling/horizontalpodautoscalers"]],
  ["Service", ["core/services", "networking.k8s.io/ingresses", "networking.k8s.io/ingressclasses", "discovery.k8s.io/endpointslices", "networking.k8s.io/networkpolicies"]],
  ["Config and storage", ["core/configmaps", "core/secrets", "core/persistentvolumeclaims", "core/persistentvolumes", "storage.k8s.io/storageclasses"]],
  ["Cluster", ["core/nodes", "core/namespaces", "core/events", "core/serviceaccounts", "rbac.authorization.k8s.io/roles", "rbac.authorization.k8s.io/rolebindings",
    "rbac.authorization.k8s.io/clusterroles", "rbac.authorization.k8s.io/clusterrolebindings", "policy/poddisruptionbudgets"]],
  ["Custom resources", ["apiextensions.k8s.io/customresourcedefinitions"]],
];
/** How often a viewer who does something is told to the server, so that the session goes on. */
const ALIVE = 60_000;

const app = document.getElementById("app");
const main = h("main", { id: "main", tabindex: "-1" });
const state = { user: "", namespace: localStorage.getItem("namespace") ?? "default", namespaces: /** @type {string[]} */ ([]), leave: () => {} };
let namespaceStore = null;

function route() {
  state.leave();
  state.leave = () => {};
  const [address, parameters] = location.hash.replace(/^#\/?/, "").split("?");
  const parts = address.split("/").map(decodeURIComponent);
  const options = new URLSearchParams(parameters ?? "");
  const context = { namespace: state.namespace, options, setTitle };
  document.querySelectorAll("nav a").forEach((link) => {
    const isCurrent = link.getAttribute("href") === `#/${parts[0] === "view" ? `list/${parts[1]}/${parts[2]}` : address}`;
    if (isCurrent) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  });
  document.body.classList.remove("open");
  fill(main);
  try {
    state.leave = page(parts, context) ?? (() => {});
  } catch (error) {
    fill(main, errorBox(error));
  }
}

function page(parts, context) {
  switch (parts[0]) {
    case "": return overview(main, context);
    case "create": return create(main, context);
    case "kinds": return kinds(main, context);
    case "search": return search(main, context);
    case "list":
    case "view": {
      const resource = find(parts[1], parts[2]);
      if (!resource) return lookAgain(parts);
      if (parts[0] === "list") return list(main, resource, context);
      return detail(main, resource, resource.namespaced ? parts[3] : "", parts[4], context);
    }
    default: throw new Error("There is no such page.");
  }
}

/** What was not there when the page was loaded may have been defined since. */
function lookAgain(parts) {
  let hasLeft = false;
  const missing = () => fill(main, errorBox(new Error(`The server has no ${parts[2]} in ${parts[1]}.`)));
  fill(main, h("p", { class: "empty" }, "Loading…"));
  discover().then(() => {
    if (hasLeft) return;
    document.getElementById("side")?.replaceWith(links());
    if (find(parts[1], parts[2])) route();
    else missing();
  }, missing);
  return () => { hasLeft = true; };
}

function setTitle(title) {
  document.title = `${title} · Kubernetes Dashboard`;
}

function links() {
  const shown = new Set(SECTIONS.flatMap(([, names]) => names));
  const item = (resource) => h("li", {}, h("a", { href: listLink(resource) }, plural(resource)));
  const sections = SECTIONS.map(([title, names]) => {
    const resources = names.map((name) => find(...name.split("/"))).filter(Boolean);
    const custom = title === "Custom resources" ? listable().filter((one) => isCustom(one) && !shown.has(`${one.group}/${one.resource}`)) : [];
    return [title, [...resources, ...custom]];
  });
  return h("nav", { id: "side", "aria-label": "Kinds" },
    h("ul", {}, h("li", {}, h("a", { href: "#/" }, "Overview"))),
    sections.filter(([, resources]) => resources.length).map(([title, resources]) => [h("h2", {}, title), h("ul", {}, resources.map(item))]),
    h("ul", {}, h("li", {}, h("a", { href: "#/kinds" }, "All kinds"))));
}

/** Groups of Kubernetes itself have no dot, or end with its own name. */
function isCustom(resource) {
  return resource.group.includes(".") && !resource.group.endsWith(".k8s.io") || /\.x-k8s\.io$|^snapshot\.storage/.test(resource.group);
}

function namespaces() {
  const input = h("input", { id: "namespace", list: "namespaces", value: state.namespace || "All namespaces", "aria-label": "Namespace", autocomplete: "off", on: {
    focus: () => input.select(),
    change: () => {
      const text = input.value.trim();
      state.namespace = text === "" || text === "All namespaces" ? "" : text;
      input.value = state.namespace || "All namespaces";
      localStorage.setItem("namespace", state.namespace);
      route();
    },
  } });
  const options = h("datalist", { id: "namespaces" });
  const resource = find("", "namespaces");
  namespaceStore = resource && new TableStore(resource, "").start((store) => {
    const names = [...store.rows.values()].map((row) => row.name).sort();
    fill(options, ["All namespaces", ...names].map((name) => h("option", { value: name })));
  });
  return h("span", { class: "namespace" }, h("label", { for: "namespace" }, "Namespace"), input, options);
}

function header() {
  const find = h("input", { type: "search", name: "q", placeholder: "Search  (press /)", "aria-label": "Search all kinds by name", id: "search" });
  return h("header", {},
    h("a", { class: "skip", href: "#main", on: { click: (event) => { event.preventDefault(); main.focus(); } } }, "Skip to the content"),
    button("☰", () => document.body.classList.toggle("open"), { class: "icon burger", "aria-label": "Kinds" }),
    h("a", { class: "brand", href: "#/" }, h("img", { src: "icon.svg", alt: "", width: 26, height: 26 }), "Kubernetes"),
    namespaces(),
    h("form", { role: "search", on: { submit: (event) => {
      event.preventDefault();
      location.hash = `#/search?q=${encodeURIComponent(find.value)}`;
    } } }, find),
    h("a", { class: "button", href: "#/create" }, "+ Create"),
    h("span", { class: "user", title: state.user }, state.user),
    button("Sign out", signOut));
}

async function signOut() {
  await own("/session", "DELETE").catch(() => {});
  location.reload();
}

async function enter(session) {
  state.user = session.user;
  try {
    await discover();
  } catch (error) {
    fill(app, h("main", {}, errorBox(error), button("Sign out", signOut)));
    return;
  }
  fill(app, header(), h("div", { class: "frame" }, links(), main));
  addEventListener("hashchange", route);
  route();
}

function leave() {
  state.leave();
  namespaceStore?.stop();
  removeEventListener("hashchange", route);
  document.querySelectorAll("dialog, .menu").forEach((box) => box.remove());
  login(app, enter);
}

let told = Date.now();
function alive() {
  if (Date.now() - told < ALIVE || !state.user) return;
  told = Date.now();
  own("/session", "GET").catch((error) => error.status === 401 && dispatchEvent(new Event("signed-out")));
}

addEventListener("signed-out", () => {
  if (!state.user) return;
  state.user = "";
  leave();
});
for (const event of ["keydown", "pointerdown"]) addEventListener(event, alive, { passive: true });
addEventListener("keydown", (event) => {
  const isTyping = /** @type {HTMLElement} */ (event.target).closest("input, textarea, select, dialog, .terminal");
  if (event.key === "/" && !isTyping) {
    event.preventDefault();
    document.getElementById("search")?.focus();
  }
});

own("/session", "GET").then(enter, () => login(app, enter));
