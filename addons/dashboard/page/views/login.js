// Logging in: with a token, or with a kubeconfig's.

import { own } from "../api.js";
import { errorBox } from "../dialog.js";
import { fill, h } from "../dom.js";

/** @param {(session: any) => void} enter */
export function login(app, enter) {
  document.title = "Sign in · Kubernetes Dashboard";
  const problem = h("div", {});
  const token = h("textarea", { name: "token", rows: 4, "aria-label": "Token", spellcheck: "false", autocomplete: "off", placeholder: "kubectl create token NAME" });
  const file = h("input", { type: "file", name: "kubeconfig", "aria-label": "Kubeconfig file" });
  const submit = h("button", { type: "submit", class: "primary" }, "Sign in");
  const form = h("form", { on: { submit: async (event) => {
    event.preventDefault();
    submit.disabled = true;
    try {
      const chosen = file.files[0];
      const body = chosen ? { kubeconfig: await chosen.text() } : { token: token.value.trim() };
      const session = await own("/session", "POST", JSON.stringify(body));
      token.value = "";
      enter(session);
    } catch (error) {
      fill(problem, errorBox(error));
      submit.disabled = false;
    }
  } } },
    h("h1", {}, h("img", { src: "icon.svg", alt: "", width: 36, height: 36 }), "Kubernetes Dashboard"),
    h("p", { class: "muted" }, "You see and do what this token's or certificate's user may."),
    h("label", { class: "field" }, h("span", {}, "Token"), token),
    h("p", { class: "or" }, "or"),
    h("label", { class: "field" }, h("span", {}, "Kubeconfig with a token or client certificate"), file),
    problem, submit);
  fill(app, h("main", { class: "login" }, form));
  token.focus();
}
