// Lists that stay current: read in parts, then watched from there on, and taken up again where they broke off.

import { ApiError, ask, query, watch } from "./api.js";
import { path } from "./discovery.js";

const TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io, application/json";
/** Rows that are asked for at a time. */
const PART = 500;
/** Pause before the first new try, which doubles up to the last. */
const FIRST = 1_000;
const LAST = 30_000;
/** How often a list is read whose watch is not allowed. */
const REREAD = 30_000;

/**
 * @typedef {{uid: string, name: string, namespace: string, created: string, labels: Record<string, string>,
 *   owners: any[], cells: any[], text: string}} Row
 */

/** A resource's rows as the server prints them. */
export class TableStore {
  /**
   * @param {import("./discovery.js").Resource} resource
   * @param {string} namespace "" for all
   * @param {{labelSelector?: string, fieldSelector?: string}} selectors
   */
  constructor(resource, namespace, selectors = {}) {
    this.resource = resource;
    this.namespace = namespace;
    this.selectors = selectors;
    /** @type {Map<string, Row>} */
    this.rows = new Map();
    this.columns = [];
    /** "loading", "live", "still" (not watched), "broken" or "refused". */
    this.state = "loading";
    /** @type {ApiError | Error | null} */
    this.error = null;
    this.listeners = new Set();
    this.stopped = new AbortController();
    this.version = "";
    this.isPlanned = false;
  }

  /** Begins; `changed` is called after changes, not more often than the screen is drawn. */
  start(changed) {
    this.listeners.add(changed);
    this.run();
    return this;
  }

  stop() {
    this.listeners.clear();
    this.stopped.abort();
  }

  async run() {
    let pause = FIRST;
    while (!this.stopped.signal.aborted) {
      try {
        if (!this.version) await this.list();
        pause = FIRST;
        this.become("live");
        await this.follow();
      } catch (error) {
        if (this.stopped.signal.aborted) return;
        if (await this.gaveUp(error)) return;
        if (error instanceof ApiError && error.status === 410) continue;
        await delay(pause, this.stopped.signal);
        pause = Math.min(pause * 2, LAST);
      }
    }
  }

  /** What an error means; true if there is no use in another try. */
  async gaveUp(error) {
    const status = error instanceof ApiError ? error.status : 0;
    this.error = error;
    if (status === 410) {
      this.version = "";
      return false;
    }
    if ((status === 403 || status === 405) && this.version) {
      this.become("still");
      await delay(REREAD, this.stopped.signal);
      this.version = "";
      return false;
    }
    if ([400, 401, 403, 404, 405].includes(status)) {
      this.become("refused");
      return true;
    }
    this.become("broken");
    return false;
  }

  async list() {
    const rows = new Map();
    let next = "";
    do {
      const part = query({ ...this.selectors, limit: PART, continue: next });
      const options = { accept: TABLE, signal: this.stopped.signal, background: true };
      const table = await ask(path(this.resource, this.namespace) + part, options);
      if (table.columnDefinitions?.length) this.columns = table.columnDefinitions;
      for (const row of table.rows ?? []) put(rows, row);
      // The first list is shown as it comes; later ones take the place of what there is.
      if (this.state === "loading") this.rows = rows;
      this.changed();
      next = table.metadata?.continue ?? "";
      this.version = next ? "" : table.metadata?.resourceVersion ?? "";
    } while (next);
    this.rows = rows;
    this.error = null;
    this.changed();
  }

  async follow() {
    const parameters = { ...this.selectors, watch: "1", allowWatchBookmarks: "true", resourceVersion: this.version };
    const address = path(this.resource, this.namespace) + query(parameters);
    for await (const { type, object } of watch(address, TABLE, this.stopped.signal)) {
      for (const row of type === "BOOKMARK" ? [] : object.rows ?? []) {
        if (type === "DELETED") this.rows.delete(row.object.metadata.uid);
        else put(this.rows, row);
      }
      this.version = object.metadata?.resourceVersion || object.rows?.at(-1)?.object?.metadata?.resourceVersion || this.version;
      this.changed();
    }
  }

  become(state) {
    this.state = state;
    if (state === "live") this.error = null;
    this.changed();
  }

  changed() {
    if (this.isPlanned) return;
    this.isPlanned = true;
    setTimeout(() => {
      this.isPlanned = false;
      for (const listener of this.listeners) listener(this);
    }, 100);
  }

  /** The place of a column, by its name. */
  column(name) {
    return this.columns.findIndex((column) => column.name === name);
  }
}

function put(rows, { cells, object }) {
  const { uid, name, namespace = "", creationTimestamp, labels = {}, ownerReferences = [] } = object.metadata;
  const text = [name, namespace, ...cells, ...Object.entries(labels).map((pair) => pair.join("="))].join("\n").toLowerCase();
  rows.set(uid, { uid, name, namespace, created: creationTimestamp, labels, owners: ownerReferences, cells, text });
}

/** An object that stays current. */
export class ObjectStore {
  constructor(resource, namespace, name) {
    this.resource = resource;
    this.namespace = namespace;
    this.name = name;
    this.object = null;
    this.isDeleted = false;
    this.error = null;
    this.stopped = new AbortController();
  }

  start(changed) {
    this.run(changed);
    return this;
  }

  stop() {
    this.stopped.abort();
  }

  /** Contents of Secrets are not asked for before somebody wants to see them. */
  accept() {
    return this.resource.resource === "secrets" && !this.resource.group
      ? "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io" : "application/json";
  }

  async run(changed) {
    const signal = this.stopped.signal;
    while (!signal.aborted && !this.isDeleted) {
      try {
        this.object = await ask(path(this.resource, this.namespace, this.name), { signal, accept: this.accept() });
        this.error = null;
        changed(this);
        await this.follow(changed);
      } catch (error) {
        if (signal.aborted) return;
        this.isDeleted = error instanceof ApiError && error.status === 404 && this.object !== null;
        this.error = this.isDeleted ? null : error;
        changed(this);
        if (error instanceof ApiError && [401, 403, 404].includes(error.status) && !this.object) return;
        await delay(5_000, signal);
      }
    }
  }

  async follow(changed) {
    if (!this.resource.verbs.includes("watch")) return delay(REREAD, this.stopped.signal);
    const { resourceVersion } = this.object.metadata;
    const parameters = { watch: "1", allowWatchBookmarks: "true", resourceVersion, fieldSelector: `metadata.name=${this.name}` };
    const address = path(this.resource, this.namespace) + query(parameters);
    for await (const { type, object } of watch(address, this.accept(), this.stopped.signal)) {
      if (type === "BOOKMARK") continue;
      this.object = object;
      this.isDeleted = type === "DELETED";
      changed(this);
    }
  }
}

/** Waits, or until `signal` says so. */
export function delay(milliseconds, signal) {
  return new Promise((done) => {
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); done(undefined); }, { once: true });
  });
}
