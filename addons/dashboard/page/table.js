// A table of any length: only the rows in sight are elements.

import { h, fill, age, mood, status } from "./dom.js";

/** Height of a row in the style sheet. */
const HEIGHT = 36;
/** Rows beyond both ends that are kept, so that scrolling shows no gaps. */
const SPARE = 12;
/** Rows that column widths are taken from. */
const SAMPLE = 100;

/**
 * @typedef {{name: string, cell: (row: any) => any, sort?: (row: any) => any, grow?: number, isNumber?: boolean}} Column
 */

export class VirtualTable {
  /** @param {string} label what screen readers call it */
  constructor(label) {
    this.rows = [];
    /** @type {Column[]} */
    this.columns = [];
    this.order = { column: "", isDown: false };
    this.head = h("tr", {});
    this.body = h("tbody", {});
    this.table = h("table", { class: "list", "aria-label": label }, h("thead", {}, this.head), this.body);
    this.element = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label, on: {
      scroll: () => this.draw(), keydown: (event) => this.key(event) } }, this.table);
    new ResizeObserver(() => this.draw()).observe(this.element);
    this.drawn = "";
    this.version = 0;
  }

  /** Shows other rows. */
  set(columns, rows) {
    const names = (list) => list.map((column) => column.name).join("\n");
    const isOther = names(columns) !== names(this.columns);
    this.columns = columns;
    this.rows = this.sorted(rows);
    this.version++;
    if (isOther || this.needsWidths) this.drawHead();
    this.draw();
  }

  sorted(rows) {
    const column = this.columns.find((one) => one.name === this.order.column);
    if (!column) return rows;
    const value = column.sort ?? ((row) => row[column.name]);
    const keyed = rows.map((row) => [value(row), row]);
    keyed.sort(([a], [b]) => compare(a, b));
    if (this.order.isDown) keyed.reverse();
    return keyed.map(([, row]) => row);
  }

  drawHead() {
    const widths = this.widths();
    this.needsWidths = this.rows.length === 0;
    fill(this.head, this.columns.map((column, at) => {
      const isOrder = this.order.column === column.name;
      const sort = isOrder ? (this.order.isDown ? "descending" : "ascending") : "none";
      const mark = isOrder ? (this.order.isDown ? " ▾" : " ▴") : "";
      const cell = h("th", { scope: "col", "aria-sort": column.name ? sort : null },
        column.name && h("button", { type: "button", on: { click: () => this.sortBy(column.name) } }, column.name + mark));
      cell.style.width = `${widths[at]}%`;
      return cell;
    }));
  }

  /** In percent, by what is in the columns. */
  widths() {
    const length = (column) => {
      const lengths = this.rows.slice(0, SAMPLE).map((row) => {
        const content = column.cell(row);
        // A status has a mark before it.
        return content instanceof Node ? content.textContent.length + 5 : String(content ?? "").length + 2;
      });
      return Math.min(48, Math.max(column.name.length + 4, ...lengths, column.grow ?? 0));
    };
    const lengths = this.columns.map(length);
    const all = lengths.reduce((sum, one) => sum + one, 0) || 1;
    return lengths.map((one) => (one / all) * 100);
  }

  sortBy(name) {
    this.order = { column: name, isDown: this.order.column === name && !this.order.isDown };
    this.rows = this.sorted(this.rows);
    this.version++;
    this.drawHead();
    this.draw();
    [...this.head.querySelectorAll("button")].find((one) => one.textContent.startsWith(name))?.focus();
  }

  draw() {
    const height = this.element.clientHeight || 600;
    const first = Math.max(0, Math.floor(this.element.scrollTop / HEIGHT) - SPARE);
    const last = Math.min(this.rows.length, first + Math.ceil(height / HEIGHT) + 2 * SPARE);
    const state = `${first} ${last} ${this.version}`;
    if (state === this.drawn) return;
    this.drawn = state;
    const focused = document.activeElement?.closest?.("tr")?.getAttribute("aria-rowindex");
    const isInside = this.body.contains(document.activeElement);
    const space = (rows) => {
      const row = h("tr", { class: "space", "aria-hidden": "true" }, h("td", { colspan: this.columns.length }));
      row.style.height = `${rows * HEIGHT}px`;
      return row;
    };
    fill(this.body, first > 0 && space(first),
      this.rows.slice(first, last).map((row, at) => this.row(row, first + at)),
      last < this.rows.length && space(this.rows.length - last));
    this.table.setAttribute("aria-rowcount", String(this.rows.length + 1));
    if (isInside && focused) this.body.querySelector(`tr[aria-rowindex="${focused}"] a`)?.focus({ preventScroll: true });
  }

  row(row, at) {
    return h("tr", { "aria-rowindex": at + 2 }, this.columns.map((column) => {
      const content = column.cell(row);
      const title = content instanceof Node ? content.textContent : content;
      return h("td", { class: column.isNumber ? "number" : null, title: column.name ? title : null }, content);
    }));
  }

  /** Arrows go from row to row. */
  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15 }[event.key];
    if (!step) return;
    const current = Number(document.activeElement?.closest("tr[aria-rowindex]")?.getAttribute("aria-rowindex") ?? 1);
    const next = Math.max(0, Math.min(this.rows.length - 1, current - 2 + step));
    const [top, bottom] = [next * HEIGHT, (next + 2) * HEIGHT];
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (bottom > this.element.scrollTop + this.element.clientHeight) this.element.scrollTop = bottom - this.element.clientHeight;
    this.draw();
    this.body.querySelector(`tr[aria-rowindex="${next + 2}"] a`)?.focus({ preventScroll: true });
    event.preventDefault();
  }
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a ?? "").localeCompare(String(b ?? ""), undefined, { numeric: true });
}

/** Columns whose values have a colour. */
const MOODS = new Set(["Status", "Phase", "Type", "Reason", "Available", "Established"]);

/**
 * The columns of a store's rows, as the server names them; more of them if `wide`.
 * @param {import("./store.js").TableStore} store
 * @param {{link: (row: any) => string, namespaces: boolean, wide?: boolean}} options
 * @returns {Column[]}
 */
export function columnsOf(store, { link, namespaces, wide }) {
  const columns = [];
  store.columns.forEach((definition, at) => {
    if (definition.priority > 0 && !wide) return;
    const name = definition.name;
    if (name === "Name") {
      columns.push({ name, sort: (row) => row.name, cell: (row) => h("a", { href: link(row) }, row.name) });
      if (namespaces) columns.push({ name: "Namespace", sort: (row) => row.namespace, cell: (row) => row.namespace });
    } else if (name === "Age" || name === "Created At") {
      columns.push({ name, sort: (row) => -Date.parse(row.created), cell: (row) => age(row.created), isNumber: true });
    } else {
      const isNumber = definition.type === "integer" || definition.type === "number";
      const plain = (row) => (row.cells[at] === null || row.cells[at] === undefined ? "" : String(row.cells[at]));
      const cell = (row) => (MOODS.has(name) && mood(row.cells[at]) ? status(row.cells[at]) : plain(row));
      columns.push({ name, isNumber, sort: (row) => row.cells[at], cell });
    }
  });
  return columns;
}
