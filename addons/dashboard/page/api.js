// Requests to the apiserver through the dashboard's server, which adds the viewer's credential.

const PREFIX = "/k8s";
/** After so long without a word (bookmarks come every minute) a watch is taken for dead. */
const SILENCE = 150_000;

/** An answer that is an error, with the request that it was an answer to. */
export class ApiError extends Error {
  constructor(status, body, asked) {
    super(body?.message || `The server answered ${status}.`);
    this.status = status;
    this.reason = body?.reason ?? "";
    this.causes = body?.details?.causes ?? [];
    this.asked = asked;
  }
}

/** What goes to the dashboard's own server. */
export async function own(path, method, body) {
  const headers = { "x-kube-dashboard": "1", "content-type": "application/json" };
  const response = await fetch(path, { method, headers, body });
  return answer(response, { method, path }, false);
}

/**
 * Asks the apiserver.
 * @param {string} path
 * @param {{method?: string, body?: any, type?: string, accept?: string, background?: boolean, signal?: AbortSignal}} options
 */
export async function ask(path, options = {}) {
  const response = await open(path, options);
  return answer(response, { method: options.method ?? "GET", path }, options.accept === "application/yaml");
}

/** Asks the apiserver, and leaves the answer's body to be read; errors are thrown. */
export async function open(path, { method = "GET", body, type, accept = "application/json", background, signal } = {}) {
  const headers = { "x-kube-dashboard": "1", accept };
  if (background) headers["x-kube-dashboard-background"] = "1";
  if (body !== undefined) headers["content-type"] = type ?? "application/json";
  const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(PREFIX + path, { method, headers, body: text, signal });
  if (!response.ok) await answer(response, { method, path }, false);
  return response;
}

async function answer(response, asked, isText) {
  const text = await response.text();
  if (response.ok && isText) return text;
  if (response.ok) return JSON.parse(text);
  const body = await failure(text, response.headers.get("content-type") ?? "");
  if (response.status === 401 && asked.path !== "/session") dispatchEvent(new Event("signed-out"));
  throw new ApiError(response.status, body, asked);
}

/** What an error's text says, which may be a `Status` in the form that was asked for, or plain. */
async function failure(text, type) {
  try {
    return type.includes("yaml") ? (await own("/documents", "POST", text))[0] : JSON.parse(text);
  } catch {
    return { message: text.trim().slice(0, 2000) };
  }
}

/** The lines of an answer as they come. `waiting` is called whenever there is a word. */
export async function* lines(response, waiting = () => {}) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      waiting();
      const parts = (rest + value).split("\n");
      rest = parts.pop() ?? "";
      yield* parts;
    }
    if (rest) yield rest;
  } finally {
    reader.cancel().catch(() => {});
  }
}

/**
 * The events of a watch, until it ends or `signal` says so. What the server reports as an error is thrown.
 * @param {string} path with its query
 */
export async function* watch(path, accept, signal) {
  const silence = new AbortController();
  const stop = () => silence.abort();
  signal.addEventListener("abort", stop);
  let timer = setTimeout(stop, SILENCE);
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(stop, SILENCE);
  };
  try {
    const response = await open(path, { accept, background: true, signal: silence.signal });
    for await (const line of lines(response, heard)) {
      if (!line) continue;
      const event = JSON.parse(line);
      if (event.type === "ERROR") throw new ApiError(event.object.code ?? 500, event.object, { method: "GET", path });
      yield event;
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    silence.abort();
  }
}

/** A query of what is given; undefined and empty values are left out. */
export function query(values) {
  const pairs = Object.entries(values).filter(([, value]) => value !== undefined && value !== "" && value !== null);
  return pairs.length ? `?${new URLSearchParams(pairs.map(([key, value]) => [key, String(value)]))}` : "";
}

/**
 * The rule that a 403 misses, as a Role or ClusterRole has it.
 * @param {ApiError} error
 */
export function missingRule(error) {
  const message = error.message;
  const found = /cannot (\S+) resource "([^"]+)" in API group "([^"]*)"(?: in the namespace "([^"]+)")?/.exec(message);
  if (error.status !== 403 || !found) return null;
  const [, verb, resource, group, namespace] = found;
  const rule = `- apiGroups: ["${group}"]\n  resources: ["${resource}"]\n  verbs: ["${verb}"]`;
  return { rule, where: namespace ? `a Role in the namespace ${namespace}, or a ClusterRole` : "a ClusterRole" };
}
