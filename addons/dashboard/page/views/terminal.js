// A terminal in a container: `../screen.js` on a page, with a WebSocket behind it.

import { ask } from "../api.js";
import { path } from "../discovery.js";
import { button, fill, h } from "../dom.js";
import { Screen } from "../screen.js";
import { containers } from "./logs.js";

const PROTOCOLS = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
/** Channels of the protocol. */
const STDIN = 0, STDOUT = 1, STDERR = 2, ERROR = 3, RESIZE = 4;
/** What is run if nothing else is asked for: the best shell that there is. */
const SHELL = "command -v bash >/dev/null 2>&1 && exec bash || exec sh";
/** The first 16 colours are the style sheet's; then a cube, and grey. */
const CUBE = [0, 95, 135, 175, 215, 255];

const KEYS = { Enter: "\r", Backspace: "\x7f", Tab: "\t", Escape: "\x1b", Delete: "\x1b[3~", Insert: "\x1b[2~", PageUp: "\x1b[5~", PageDown: "\x1b[6~",
  F1: "\x1bOP", F2: "\x1bOQ", F3: "\x1bOR", F4: "\x1bOS", F5: "\x1b[15~", F6: "\x1b[17~", F7: "\x1b[18~", F8: "\x1b[19~", F9: "\x1b[20~", F10: "\x1b[21~", F12: "\x1b[24~" };
const ARROWS = { ArrowUp: "A", ArrowDown: "B", ArrowRight: "C", ArrowLeft: "D", Home: "H", End: "F" };

export function terminal(body, resource, namespace, name) {
  const container = h("select", { "aria-label": "Container" });
  const command = h("input", { value: "", placeholder: "a shell", "aria-label": "Command" });
  const state = h("span", { class: "muted", role: "status" }, "Not connected.");
  const view = new View();
  let socket = null;
  const send = (channel, data) => {
    if (socket?.readyState !== WebSocket.OPEN) return;
    const bytes = new TextEncoder().encode(data);
    const frame = new Uint8Array(bytes.length + 1);
    frame[0] = channel;
    frame.set(bytes, 1);
    socket.send(frame);
  };
  const resize = () => send(RESIZE, JSON.stringify({ Width: view.screen.columns, Height: view.screen.rows }));
  view.begin((data) => send(STDIN, data), resize);
  const connect = () => {
    socket?.close();
    view.screen.reset();
    const words = command.value.trim() ? command.value.trim().split(/\s+/) : ["sh", "-c", SHELL];
    const parameters = new URLSearchParams([["container", container.value], ["stdin", "true"], ["stdout", "true"], ["tty", "true"], ...words.map((word) => ["command", word])]);
    const address = `wss://${location.host}/k8s${path(resource, namespace, name, "exec")}?${parameters}`;
    const opened = new WebSocket(address, PROTOCOLS);
    socket = opened;
    opened.binaryType = "arraybuffer";
    const decoder = new TextDecoder();
    fill(state, "Connecting…");
    let ending = "The connection was closed.";
    opened.onopen = () => { fill(state, "Connected. ", h("span", {}, "Ctrl+Shift+Escape leaves the terminal.")); resize(); view.focus(); };
    opened.onmessage = ({ data }) => {
      const bytes = new Uint8Array(data);
      const rest = bytes.subarray(1);
      if (bytes[0] === STDOUT || bytes[0] === STDERR) view.write(decoder.decode(rest, { stream: true }));
      if (bytes[0] === ERROR) ending = verdict(new TextDecoder().decode(rest));
    };
    opened.onclose = () => socket === opened && fill(state, ending);
    opened.onerror = () => explain(resource, namespace, name).then((text) => { ending = text; if (socket === opened) fill(state, text); });
  };
  container.addEventListener("change", connect);
  command.addEventListener("change", connect);
  fill(body, h("div", { class: "tools" }, container, command, button("Connect", connect), state), view.element);
  let known = "";
  return {
    changed(object) {
      const names = containers(object);
      if (names.join() === known) return;
      const isFirst = known === "";
      known = names.join();
      fill(container, names.map((one) => h("option", { value: one }, one)));
      if (isFirst) connect();
    },
    stop: () => { socket?.close(); view.stop(); },
  };
}

/** What a program's end was. */
function verdict(text) {
  try {
    const status = JSON.parse(text);
    if (status.status === "Success") return "The program has ended.";
    const code = status.details?.causes?.find((cause) => cause.reason === "ExitCode")?.message;
    return code ? `The program has ended with code ${code}.` : status.message;
  } catch {
    return text;
  }
}

/** Browsers do not tell why a WebSocket was refused, but whether one may have it can be asked. */
async function explain(resource, namespace, name) {
  const attributes = { namespace, name, verb: "get", resource: resource.resource, subresource: "exec" };
  try {
    const body = { apiVersion: "authorization.k8s.io/v1", kind: "SelfSubjectAccessReview", spec: { resourceAttributes: attributes } };
    const review = await ask("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", { method: "POST", body, background: true });
    if (!review.status.allowed) return `You may not exec into this pod: the rule for the verb "get" (and "create") of the resource "pods/exec" in ${namespace} is missing.`;
  } catch {
    // Then the reason stays unknown.
  }
  return "The connection failed: the container may not run, or the node cannot be reached.";
}

/** The screen as elements, and the keyboard. */
class View {
  constructor() {
    this.rows = h("div", { class: "rows", "aria-hidden": "true" });
    this.input = h("textarea", { "aria-label": "Terminal input", autocapitalize: "off", autocomplete: "off", spellcheck: "false" });
    this.spoken = h("div", { class: "spoken", role: "log", "aria-live": "polite" });
    this.measure = h("span", { class: "measure" }, "W".repeat(10));
    this.element = h("div", { class: "terminal", on: { mouseup: () => { if (!String(getSelection())) this.input.focus({ preventScroll: true }); } } }, this.rows, this.measure, this.input, this.spoken);
    this.drawn = [];
    this.isPlanned = false;
  }

  begin(send, resized) {
    this.send = send;
    this.screen = new Screen(80, 24, send);
    this.observer = new ResizeObserver(() => this.fit() && resized());
    this.observer.observe(this.element);
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("input", () => {
      if (this.isComposing) return;
      this.send(this.input.value);
      this.input.value = "";
    });
    this.input.addEventListener("compositionstart", () => { this.isComposing = true; });
    this.input.addEventListener("compositionend", () => {
      this.isComposing = false;
      this.send(this.input.value);
      this.input.value = "";
    });
    this.input.addEventListener("paste", (event) => {
      event.preventDefault();
      const text = (event.clipboardData?.getData("text") ?? "").replace(/\r?\n/g, "\r");
      // The end mark inside of what is pasted would let the rest of it be typed.
      this.send(this.screen.modes.paste ? `\x1b[200~${text.replaceAll("\x1b", "")}\x1b[201~` : text);
    });
    for (const event of ["focus", "blur"]) this.input.addEventListener(event, () => this.draw());
  }

  stop() {
    this.observer.disconnect();
  }

  focus() {
    this.input.focus({ preventScroll: true });
  }

  /** As many columns and rows as there is room for; whether they are others. */
  fit() {
    const size = this.measure.getBoundingClientRect();
    if (!size.width) return false;
    const columns = Math.max(20, Math.min(400, Math.floor((this.element.clientWidth - 20) / (size.width / 10))));
    const rows = Math.max(5, Math.min(200, Math.floor((this.element.clientHeight - 16) / size.height)));
    if (columns === this.screen.columns && rows === this.screen.rows) return false;
    this.screen.resize(columns, rows);
    this.plan();
    return true;
  }

  write(text) {
    this.screen.write(text);
    const plain = text.replace(/\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|[\x00-\x08\x0b-\x1f]/g, "").trim();
    if (plain) {
      this.spoken.append(h("div", {}, plain));
      while (this.spoken.childElementCount > 20) this.spoken.firstChild.remove();
    }
    this.plan();
  }

  plan() {
    if (this.isPlanned) return;
    this.isPlanned = true;
    requestAnimationFrame(() => { this.isPlanned = false; this.draw(); });
  }

  draw() {
    const isAtEnd = this.rows.scrollTop + this.rows.clientHeight >= this.rows.scrollHeight - 30;
    const { history, lines, x, y, modes, other } = this.screen;
    const all = other ? lines : [...history, ...lines];
    const cursor = modes.cursor ? all.length - lines.length + y : -1;
    const isFocused = document.activeElement === this.input;
    while (this.rows.childElementCount > all.length) this.rows.lastChild.remove();
    all.forEach((line, at) => {
      const runs = runsOf(line, at === cursor ? x : -1, isFocused);
      const key = runs.map(([text, name, style]) => `${text}\u0001${name}\u0001${style.join()}`).join("\u0002");
      let row = this.rows.children[at];
      if (row && this.drawn[at] === key) return;
      this.drawn[at] = key;
      if (!row) this.rows.append((row = h("div", {})));
      fill(row, runs.map(([text, name, [colour, ground]]) => {
        const span = h("span", { class: name || null }, text);
        if (colour) span.style.color = colour;
        if (ground) span.style.backgroundColor = ground;
        return span;
      }));
    });
    this.drawn.length = all.length;
    if (isAtEnd) this.rows.scrollTop = this.rows.scrollHeight;
  }

  key(event) {
    if (event.isComposing) return;
    if (event.key === "Escape" && event.ctrlKey && event.shiftKey) {
      this.input.blur();
      document.querySelector(".tools select")?.focus();
      event.preventDefault();
      return;
    }
    const text = typed(event, this.screen.modes.keys);
    if (text === null) return;
    event.preventDefault();
    this.rows.scrollTop = this.rows.scrollHeight;
    this.send(text);
  }
}

/** What a key sends; null leaves it to the browser. */
function typed(event, isApplication) {
  const { key, ctrlKey, altKey, metaKey, shiftKey } = event;
  if (metaKey || (ctrlKey && shiftKey)) return null;
  const modifiers = 1 + (shiftKey ? 1 : 0) + (altKey ? 2 : 0) + (ctrlKey ? 4 : 0);
  if (ARROWS[key]) return modifiers > 1 ? `\x1b[1;${modifiers}${ARROWS[key]}` : `\x1b${isApplication ? "O" : "["}${ARROWS[key]}`;
  if (key === "Tab" && shiftKey) return "\x1b[Z";
  if (KEYS[key]) return altKey ? `\x1b${KEYS[key]}` : KEYS[key];
  if (ctrlKey && key.length === 1) {
    if (key === "c" && String(getSelection())) return null;
    if (key === "v") return null;
    const code = key.toUpperCase().charCodeAt(0);
    if (code >= 64 && code <= 95) return String.fromCharCode(code - 64);
    return key === " " ? "\0" : null;
  }
  if (altKey && key.length === 1) return `\x1b${key}`;
  return null;
}

/** A row as runs of equal looks: text, class and colours. */
function runsOf(line, cursor, isFocused) {
  const runs = [];
  let last = null;
  line.forEach(([text, look], at) => {
    const isCursor = at === cursor;
    if (look === last && !isCursor) {
      runs.at(-1)[0] += text;
    } else {
      runs.push([text, `${names(look)}${isCursor ? (isFocused ? " cursor" : " cursor idle") : ""}`.trim(), colours(look)]);
    }
    last = isCursor ? null : look;
  });
  return runs;
}

function names(look) {
  const found = ["bold", "dim", "italic", "underline"].filter((name) => look[name]);
  const { fg, bg } = look.inverse ? { fg: look.bg ?? "ground", bg: look.fg ?? "text" } : look;
  if (typeof fg === "string" ? fg === "ground" : fg !== null && fg < 16) found.push(`fg-${fg}`);
  if (typeof bg === "string" ? bg === "text" : bg !== null && bg < 16) found.push(`bg-${bg}`);
  return found.join(" ");
}

function colours(look) {
  const [fg, bg] = look.inverse ? [look.bg, look.fg] : [look.fg, look.bg];
  return [colour(fg), colour(bg)];
}

function colour(number) {
  if (number === null || typeof number === "string") return number;
  if (number < 16) return null;
  if (number >= 232) return `rgb(${Array(3).fill(8 + (number - 232) * 10).join(" ")})`;
  const at = number - 16;
  return `rgb(${CUBE[Math.floor(at / 36)]} ${CUBE[Math.floor(at / 6) % 6]} ${CUBE[at % 6]})`;
}
