// An object's YAML: seen, changed, tried without effect, and only then written.

import { ask, query } from "../api.js";
import { diffBox } from "../actions.js";
import { path } from "../discovery.js";
import { errorBox } from "../dialog.js";
import { button, fill, h, notice } from "../dom.js";

const YAML = "application/yaml";

/** The text without what only the server writes and nobody reads. */
export function withoutManagedFields(text) {
  const lines = text.split("\n");
  const start = lines.indexOf("  managedFields:");
  if (start < 0) return text;
  let end = start + 1;
  while (end < lines.length && /^( {3,}| {2}-)/.test(lines[end])) end++;
  return [...lines.slice(0, start), ...lines.slice(end)].join("\n");
}

export function yaml(body, resource, namespace, name) {
  const address = path(resource, namespace, name);
  const editor = h("textarea", { class: "code", rows: 30, spellcheck: "false", "aria-label": "YAML" });
  const result = h("div", { role: "status" });
  const isSecret = resource.group === "" && resource.resource === "secrets";
  let original = "";

  const get = async () => withoutManagedFields(await ask(address, { accept: YAML }));
  const load = async () => {
    try {
      original = await get();
      editor.value = original;
      fill(result);
      fill(body, h("div", { class: "tools" }, button("Reload", load), button("Review changes", review, { class: "primary" }), copy()), result, editor);
    } catch (error) {
      fill(body, errorBox(error));
    }
  };
  const copy = () => button("Copy", () => navigator.clipboard.writeText(editor.value).then(() => notice("Copied.", "good")));
  const put = (dryRun) => ask(address + query({ dryRun, fieldManager: "kube-dashboard", fieldValidation: "Strict" }), { method: "PUT", body: editor.value, type: YAML, accept: YAML });
  const review = async () => {
    try {
      const after = withoutManagedFields(await put("All"));
      fill(result, h("section", { class: "card" }, h("h2", {}, "The server would make these changes"), diffBox(original, after),
        h("div", { class: "buttons" }, button("Back", () => fill(result)), button("Apply", apply, { class: "primary" }))));
    } catch (error) {
      fill(result, errorBox(error), error.status === 409 && await conflict());
    }
    result.scrollIntoView({ block: "nearest" });
  };
  const apply = async () => {
    try {
      await put();
      notice("Applied.", "good");
      await load();
    } catch (error) {
      fill(result, errorBox(error), error.status === 409 && await conflict());
    }
  };
  /** Somebody else has changed it: what they have, and whether to write over it. */
  const conflict = async () => {
    const now = await get();
    const version = (text) => /^ {2}resourceVersion: .*$/m.exec(text)?.[0] ?? "";
    const keep = () => {
      editor.value = editor.value.replace(/^ {2}resourceVersion: .*$/m, version(now));
      original = now;
      review();
    };
    return h("section", { class: "card" }, h("h2", {}, "Somebody has changed it since you began"), diffBox(original, now),
      h("div", { class: "buttons" }, button("Give up my changes", load), button("Review mine over theirs", keep)));
  };
  if (isSecret) fill(body, h("section", { class: "card" }, h("p", {}, "The YAML of a Secret shows what is in it."), button("Read it", load)));
  else load();
  return {};
}
