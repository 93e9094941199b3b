// Questions and errors.

import { ApiError, missingRule } from "./api.js";
import { h, button, fill, notice } from "./dom.js";

/**
 * A dialog; `act` gets its form's values, and closes it unless it throws or answers false.
 * @param {string} title
 * @param {any[]} content
 * @param {{label: string, act: (values: Record<string, any>, box: any) => any, danger?: boolean} | null} action
 */
export function dialog(title, content, action) {
  const problem = h("div", {});
  const close = () => box.close();
  const submit = action && h("button", { type: "submit", class: action.danger ? "danger" : "primary" }, action.label);
  const form = h("form", { method: "dialog", on: { submit: async (event) => {
    event.preventDefault();
    submit.disabled = true;
    try {
      const values = Object.fromEntries([...new FormData(form)]);
      if ((await action.act(values, box)) !== false) close();
    } catch (error) {
      fill(problem, errorBox(error));
    }
    submit.disabled = false;
  } } }, h("h2", { id: "dialog-title" }, title), content, problem,
    h("div", { class: "buttons" }, button(action ? "Cancel" : "Close", close), submit));
  const box = h("dialog", { "aria-labelledby": "dialog-title", on: { close: () => box.remove() } }, form);
  document.body.append(box);
  box.showModal();
  return box;
}

/** An error, with the rule that is missing if that is what it is. */
export function errorBox(error) {
  const rule = error instanceof ApiError ? missingRule(error) : null;
  const causes = error instanceof ApiError ? error.causes : [];
  const title = error instanceof ApiError && error.status === 403 ? "You are not allowed to do this"
    : error instanceof TypeError ? "The dashboard's server cannot be reached" : "This did not work";
  return h("div", { class: "error", role: "alert" }, h("strong", {}, title), h("p", {}, error.message),
    causes.length > 1 && h("ul", {}, causes.map((cause) => h("li", {}, `${cause.field ?? ""} ${cause.message ?? ""}`))),
    rule && [h("p", {}, `What is missing is this rule, in ${rule.where}, bound to you:`), h("pre", {}, rule.rule)]);
}

/** Does something, and says what came of it; `what` is said if it went well, unless it is empty. */
export async function attempt(what, act) {
  try {
    const result = await act();
    if (what) notice(what, "good");
    return result;
  } catch (error) {
    dialog("Error", [errorBox(error)], null);
    return undefined;
  }
}

/** A labelled field of a form. */
export function field(label, input) {
  return h("label", { class: "field" }, h("span", {}, label), input);
}
