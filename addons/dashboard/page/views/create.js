// Making and changing objects from YAML: tried without effect first, then applied by the server.

import { ApiError, ask, own, query } from "../api.js";
import { ofKind, path } from "../discovery.js";
import { errorBox } from "../dialog.js";
import { button, fill, h, notice } from "../dom.js";
import { withoutManagedFields } from "./yaml.js";
import { diffBox } from "../actions.js";

const APPLY = "application/apply-patch+yaml";
const MANAGER = "kube-dashboard";

export function create(main, { namespace, setTitle }) {
  setTitle("Create");
  const editor = h("textarea", { class: "code", rows: 24, spellcheck: "false", "aria-label": "YAML or JSON", placeholder: "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: example\ndata:\n  key: value\n" });
  const file = h("input", { type: "file", "aria-label": "File", on: { change: async () => { editor.value = await file.files[0]?.text() ?? ""; } } });
  const force = h("input", { type: "checkbox" });
  const result = h("div", { role: "status" });
  const run = async (dryRun) => {
    fill(result, h("p", { class: "muted" }, dryRun ? "Asking the server…" : "Applying…"));
    try {
      const objects = await own("/documents", "POST", editor.value);
      const outcomes = [];
      // One after the other: a namespace comes before what is in it.
      for (const object of objects) outcomes.push(await one(object, namespace || "default", dryRun, force.checked));
      const isFine = outcomes.length > 0 && outcomes.every((outcome) => !outcome.error || outcome.isLater);
      fill(result, outcomes.length === 0 && h("p", {}, "There is no object in this text."), outcomes.map(card),
        dryRun && isFine && h("div", { class: "buttons" }, button("Apply", () => run(false), { class: "primary" })));
      if (!dryRun && outcomes.every((outcome) => !outcome.error)) notice("Applied.", "good");
    } catch (error) {
      fill(result, errorBox(error));
    }
  };
  fill(main, h("h1", {}, "Create from YAML"),
    h("p", { class: "muted" }, `Objects without a namespace go to ${namespace || "default"}. What exists already is changed by server-side apply.`),
    h("div", { class: "tools" }, file, h("label", { class: "check" }, force, "Take over fields that others manage"), button("Check", () => run(true), { class: "primary" })),
    result, editor);
}

/** Applies one object, or tries to. */
async function one(object, namespace, dryRun, force) {
  const title = `${object.kind} ${object.metadata.name ?? object.metadata.generateName ?? ""}`;
  try {
    const resource = ofKind(object.apiVersion, object.kind);
    if (!resource) throw new Error(`The server has no ${object.kind} in ${object.apiVersion}.`);
    const inside = object.metadata.namespace ?? namespace;
    if (!object.metadata.name) {
      const made = await ask(path(resource, inside) + query({ dryRun: dryRun ? "All" : undefined, fieldManager: MANAGER }), { method: "POST", body: object });
      return { title: `${object.kind} ${made.metadata.name}`, word: "created" };
    }
    const address = path(resource, inside, object.metadata.name);
    const before = await ask(address, { accept: "application/yaml" }).catch((error) => (error.status === 404 ? "" : Promise.reject(error)));
    const parameters = { fieldManager: MANAGER, force: force || undefined, dryRun: dryRun ? "All" : undefined, fieldValidation: "Strict" };
    const after = await ask(address + query(parameters), { method: "PATCH", body: object, type: APPLY, accept: "application/yaml" });
    const [old, now] = [before, after].map(withoutManagedFields);
    const plain = (text) => text.replace(/^ {2}(resourceVersion|generation|creationTimestamp|uid): .*\n/gm, "");
    return { title, word: before === "" ? "created" : plain(old) === plain(now) ? "unchanged" : "changed", before: old, after: now };
  } catch (error) {
    const isLater = dryRun && error instanceof ApiError && error.status === 404 && /namespaces "/.test(error.message);
    return { title, error, isLater };
  }
}

function card({ title, word, before, after, error, isLater }) {
  return h("section", { class: "card" }, h("h2", {}, title, " ", word && h("span", { class: "status good" }, word)),
    error && !isLater && errorBox(error), isLater && h("p", { class: "muted" }, "Cannot be tried before its namespace exists."),
    error?.status === 409 && h("p", {}, "Others manage these fields. Take them over, or leave them out."),
    after && h("details", { open: word === "changed" }, h("summary", {}, word === "created" ? "What is made" : "What changes"), diffBox(before, after)));
}
