// A pod's logs: live, of the container before, of any container.

import { lines, open, query } from "../api.js";
import { path } from "../discovery.js";
import { errorBox } from "../dialog.js";
import { button, fill, h, notice } from "../dom.js";

/** Lines that are kept on the page. */
const MOST = 10_000;
/** Most bytes that are downloaded as a file. */
const DOWNLOAD = 64 << 20;
/** How often what has come is shown. */
const DRAW = 100;

export function logs(body, resource, namespace, name) {
  const container = h("select", { "aria-label": "Container" });
  const tail = h("select", { "aria-label": "Lines" }, [100, 1000, 5000, MOST].map((count) => h("option", { value: count, selected: count === 1000 }, `last ${count}`)));
  const box = (label, isOn) => {
    const input = h("input", { type: "checkbox", checked: isOn });
    return [input, h("label", { class: "check" }, input, label)];
  };
  const [follow, followLabel] = box("Follow", true);
  const [previous, previousLabel] = box("Previous", false);
  const [times, timesLabel] = box("Times", false);
  const [wrap, wrapLabel] = box("Wrap", true);
  const filter = h("input", { type: "search", placeholder: "Filter lines…", "aria-label": "Filter lines" });
  const text = h("pre", { class: "log", tabindex: "0", role: "log", "aria-live": "off", "aria-label": `Logs of ${name}` });
  const problem = h("div", {});
  let held = [];
  let stop = new AbortController();
  let known = "";

  const options = (more) => query({ container: container.value, previous: previous.checked || undefined, timestamps: times.checked || undefined, ...more });
  const address = (more) => path(resource, namespace, name, "log") + options(more);
  const shown = (line) => line.toLowerCase().includes(filter.value.toLowerCase());
  const draw = () => {
    const isAtEnd = text.scrollTop + text.clientHeight >= text.scrollHeight - 20;
    text.textContent = held.filter(shown).join("\n");
    if (isAtEnd) text.scrollTop = text.scrollHeight;
  };
  const load = async () => {
    stop.abort();
    stop = new AbortController();
    const { signal } = stop;
    held = [];
    fill(problem);
    draw();
    let timer = null;
    try {
      const response = await open(address({ tailLines: tail.value, follow: follow.checked || undefined }), { accept: "*/*", signal, background: true });
      for await (const line of lines(response)) {
        held.push(line);
        if (held.length > MOST) held.shift();
        timer ??= setTimeout(() => { timer = null; draw(); }, DRAW);
      }
      clearTimeout(timer);
      draw();
      if (follow.checked && !previous.checked && !signal.aborted) fill(problem, h("p", { class: "muted" }, "The log has ended. ", button("Read again", load)));
    } catch (error) {
      if (!signal.aborted) fill(problem, errorBox(error), button("Try again", load));
    }
  };
  const download = async () => {
    try {
      const response = await open(address({ limitBytes: DOWNLOAD }), { accept: "*/*" });
      const href = URL.createObjectURL(await response.blob());
      h("a", { href, download: `${namespace}-${name}-${container.value}.log` }).click();
      setTimeout(() => URL.revokeObjectURL(href), 10_000);
    } catch (error) {
      notice(error.message, "bad");
    }
  };
  for (const input of [container, tail, follow, previous, times]) input.addEventListener("change", load);
  wrap.addEventListener("change", () => text.classList.toggle("wrapped", wrap.checked));
  text.classList.add("wrapped");
  filter.addEventListener("input", draw);
  fill(body, h("div", { class: "tools" }, container, tail, followLabel, previousLabel, timesLabel, wrapLabel, filter, button("Download", download)), problem, text);
  return {
    changed(object) {
      const names = containers(object);
      if (names.join() === known) return;
      known = names.join();
      const before = container.value;
      fill(container, names.map((one) => h("option", { value: one, selected: one === before }, one)));
      load();
    },
    stop: () => stop.abort(),
  };
}

/** A pod's containers, the main one first. */
export function containers(object) {
  const spec = object?.spec ?? {};
  const first = object?.metadata.annotations?.["kubectl.kubernetes.io/default-container"];
  const names = [...(spec.containers ?? []), ...(spec.initContainers ?? []), ...(spec.ephemeralContainers ?? [])].map((one) => one.name);
  return names.includes(first) ? [first, ...names.filter((one) => one !== first)] : names;
}
