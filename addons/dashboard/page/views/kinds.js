// Every kind that the server has.

import { listable, listLink } from "../discovery.js";
import { fill, h } from "../dom.js";

export function kinds(main, { setTitle }) {
  setTitle("All kinds");
  const groups = new Map();
  for (const resource of listable()) {
    const name = resource.group || "core";
    groups.set(name, [...(groups.get(name) ?? []), resource]);
  }
  fill(main, h("h1", {}, "All kinds"), h("div", { class: "cards" }, [...groups].map(([name, resources]) => h("section", { class: "card" },
    h("h2", {}, name), h("ul", { class: "plain" }, resources.sort((a, b) => a.kind.localeCompare(b.kind)).map((resource) =>
      h("li", {}, h("a", { href: listLink(resource) }, resource.kind), h("span", { class: "muted" }, ` ${resource.version} ${resource.shortNames.join(", ")}`))))))));
}
