// Making elements. Texts become text nodes, never markup, so that no object's content can be run.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "circle", "path", "g", "title-svg"]);

/**
 * An element: `h("a", {href: "#/", class: "x", on: {click: f}}, "text", child, [more])`.
 * Attributes that are null, undefined or false are left out; true is an attribute without a value.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...any} children
 * @returns {any}
 */
export function h(tag, attributes = {}, ...children) {
  const element = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === "value") {
      element.value = value;
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, String(value));
    }
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(element, child);
    else if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

/** Puts children in the place of what an element has. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/** Says something for a few seconds, also to screen readers. */
export function notice(text, kind = "info") {
  const box = h("div", { class: `notice ${kind}` }, text);
  document.getElementById("notices")?.append(box);
  setTimeout(() => box.remove(), kind === "bad" ? 10_000 : 5_000);
}

/** A button. */
export function button(label, click, attributes = {}) {
  return h("button", { type: "button", ...attributes, on: { click } }, label);
}

/** How long ago something was, as kubectl says it. */
export function age(time, now = Date.now()) {
  if (!time) return "";
  const seconds = Math.max(0, Math.floor((now - Date.parse(time)) / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (seconds < 120) return `${seconds}s`;
  if (minutes < 10) return `${minutes}m${seconds % 60 ? `${seconds % 60}s` : ""}`;
  if (hours < 3) return `${minutes}m`;
  if (hours < 8) return `${hours}h${minutes % 60 ? `${minutes % 60}m` : ""}`;
  if (hours < 48) return `${hours}h`;
  if (days < 8) return `${days}d${hours % 24 ? `${hours % 24}h` : ""}`;
  return days < 730 ? `${days}d` : `${Math.floor(days / 365)}y`;
}

const GOOD = /^(running|ready|active|bound|complete|completed|succeeded|true|available|normal|approved|established)/i;
const WAITING = /^(pending|containercreating|podinitializing|init:|terminating|unknown|released|suspended|schedulingdisabled)/i;
const BAD = /(error|backoff|failed|crash|evicted|notready|lost|oomkilled|invalid|never|warning|deadline|denied)/i;

/** How a status is shown: "good", "wait", "bad", or "" for none of them. */
export function mood(status) {
  const text = String(status ?? "");
  if (BAD.test(text)) return "bad";
  if (WAITING.test(text) || /SchedulingDisabled/.test(text)) return "wait";
  return GOOD.test(text) ? "good" : "";
}

/** A status with its colour. */
export function status(text) {
  return h("span", { class: `status ${mood(text)}` }, String(text ?? ""));
}

/** Names and values; those without a value are left out. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, shown.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}
