// The objects of one kind.

import { plural, viewLink } from "../discovery.js";
import { errorBox } from "../dialog.js";
import { fill, h } from "../dom.js";
import { menu } from "../actions.js";
import { bytes, cores, follow } from "../metrics.js";
import { TableStore } from "../store.js";
import { VirtualTable, columnsOf } from "../table.js";

/** How often ages are drawn anew. */
const TICK = 10_000;

/** What a list's state is called. */
const STATES = { loading: "loading", live: "live", still: "not watched: read again from time to time", broken: "connection lost, trying again", refused: "" };

/**
 * A store's rows under a filter: what pages of lists and of objects show.
 * @returns {{element: HTMLElement, changed: (store: TableStore) => void, filter: (text: string) => void, stop: () => void, shown: () => number}}
 */
export function tableOf(label, resource, { namespaces, figures, wide = () => false, where = () => true } = /** @type {any} */ ({})) {
  const table = new VirtualTable(label);
  const problem = h("div", {}, h("p", { class: "empty" }, "Loading…"));
  table.element.hidden = true;
  let words = [];
  let last = null;
  let use = new Map();
  const link = (row) => viewLink(resource, row.namespace, row.name);
  const draw = (store) => {
    last = store;
    const columns = columnsOf(store, { link, namespaces, wide: wide() });
    if (figures && use.size) {
      const of = (row) => use.get(`${row.namespace}/${row.name}`);
      columns.push({ name: "CPU", isNumber: true, sort: (row) => of(row)?.cpu ?? 0, cell: (row) => (of(row) ? cores(of(row).cpu) : "") },
        { name: "Memory", isNumber: true, sort: (row) => of(row)?.memory ?? 0, cell: (row) => (of(row) ? bytes(of(row).memory) : "") });
    }
    if (columns.length) columns.push({ name: "", grow: 5, cell: (row) => menu(resource, row) });
    const rows = [...store.rows.values()].filter((row) => where(row) && words.every((word) => row.text.includes(word)));
    table.set(columns, rows);
    const isEmpty = store.state !== "loading" && store.state !== "refused" && rows.length === 0;
    fill(problem, store.error && (store.state === "refused" || store.state === "broken") && errorBox(store.error),
      store.state === "loading" && rows.length === 0 && h("p", { class: "empty" }, "Loading…"),
      isEmpty && h("p", { class: "empty" }, store.rows.size && words.length ? "Nothing matches." : "There is nothing here."));
    table.element.hidden = rows.length === 0;
  };
  const stopped = new AbortController();
  if (figures) follow(resource.resource, figures === true ? "" : figures, stopped.signal, (map) => { use = map; if (last) draw(last); });
  const timer = setInterval(() => last && draw(last), TICK);
  return {
    element: h("div", { class: "tabled" }, problem, table.element),
    changed: draw,
    filter: (text) => { words = text.toLowerCase().split(/\s+/).filter(Boolean); if (last) draw(last); },
    stop: () => { clearInterval(timer); stopped.abort(); },
    shown: () => table.rows.length,
  };
}

export function list(main, resource, { namespace, setTitle }) {
  const title = plural(resource);
  setTitle(title);
  const inside = resource.namespaced ? namespace : "";
  const hasFigures = resource.group === "" && ["pods", "nodes"].includes(resource.resource);
  const wide = h("input", { type: "checkbox", on: { change: () => table.changed(store) } });
  const table = tableOf(title, resource, { namespaces: resource.namespaced && !inside, figures: hasFigures && (inside || true), wide: () => wide.checked });
  const count = h("span", { class: "muted", role: "status" });
  const filter = h("input", { type: "search", placeholder: "Filter by name, status, label…", "aria-label": `Filter ${title}`, on: { input: () => {
    table.filter(filter.value);
    tell();
  } } });
  const tell = () => {
    const all = store.rows.size;
    const shown = table.shown();
    fill(count, `${shown === all ? all : `${shown} of ${all}`} · `, h("span", { class: `feed ${store.state}` }, STATES[store.state]));
  };
  const store = new TableStore(resource, inside);
  fill(main, h("div", { class: "head" }, h("h1", {}, title), count, h("span", { class: "grow" }),
    h("label", { class: "check" }, wide, "Wide"), filter), table.element);
  main.classList.add("full");
  store.start(() => { table.changed(store); tell(); });
  return () => {
    store.stop();
    table.stop();
    main.classList.remove("full");
  };
}

