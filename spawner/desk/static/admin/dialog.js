/** Forms in a dialog. They are made once when they open, so that live updates never touch what somebody types. */

import { h, icon } from "../shared/dom.js";

/** @typedef {import("./types.js").Problem} Problem */

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {"text"|"number"|"datetime-local"|"checkbox"|"select"} type
 * @property {string} [value]
 * @property {string} [hint]
 * @property {{id: string, title: string}[]} [options]
 * @property {boolean} [narrow]  two of them stand side by side where there is room
 *
 * @typedef {object} Form
 * @property {string} title
 * @property {string} text
 * @property {Field[]} [fields]
 * @property {string} action
 * @property {string} cancel
 * @property {string} [also]  another button, beside the action
 * @property {boolean} [danger]
 */

/** @param {Field} field */
function control({ name, label, type, value, hint, options, narrow }) {
  const id = `field-${name}`;
  const described = { id, name, "aria-describedby": hint ? `${id}-hint` : null };
  const input = type === "select"
    ? h("select", described, (options ?? []).map((one) => h(
      "option", { value: one.id, selected: one.id === value }, one.title,
    )))
    : h("input", {
      ...described, type, value: type === "checkbox" ? null : value ?? "", autocomplete: "off",
      min: type === "number" ? 0 : null, inputmode: type === "number" ? "numeric" : null,
    });
  return h(
    "div", { class: ["field", type === "checkbox" && "check", narrow && "narrow"].filter(Boolean).join(" ") },
    h("label", { for: id }, label), input, hint && h("p", { class: "hint", id: `${id}-hint` }, hint),
  );
}

/**
 * Ask, and ask again until it is accepted or given up.
 * @param {Form} form
 * @param {(values: Record<string, string|boolean>, also: boolean) => Promise<?Problem>} submit
 */
export function ask(form, submit) {
  const said = h("div", { role: "alert" });
  const body = /** @type {HTMLFormElement} */ (h(
    "form", { novalidate: true },
    h("h2", { id: "ask-title" }, form.title),
    h("p", { id: "ask-text" }, form.text),
    (form.fields ?? []).map(control),
    said,
    h(
      "div", { class: "confirm-end" },
      h("button", { class: "button", type: "button", value: "cancel" }, form.cancel),
      form.also && h("button", { class: "button", value: "also" }, form.also),
      h("button", { class: form.danger ? "button danger" : "button primary", value: "yes" }, form.action),
    ),
  ));
  const dialog = /** @type {HTMLDialogElement} */ (
    h("dialog", { class: "confirm ask", "aria-labelledby": "ask-title", "aria-describedby": "ask-text" }, body)
  );
  body.addEventListener("click", ({ target }) => {
    if (target instanceof HTMLButtonElement && target.value === "cancel") dialog.close();
  });
  body.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (dialog.getAttribute("aria-busy")) return;
    const pressed = /** @type {SubmitEvent} */ (event).submitter;
    dialog.setAttribute("aria-busy", "true");
    const problem = await submit(values(body), pressed instanceof HTMLButtonElement && pressed.value === "also");
    dialog.removeAttribute("aria-busy");
    if (!problem) return dialog.close();
    said.replaceChildren(h(
      "div", { class: "alert" }, icon("warning"),
      h("p", { class: "words" }, h("strong", {}, problem.message), problem.next && ` ${problem.next}`),
    ));
    said.scrollIntoView({ block: "nearest" });
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  // The first thing to fill in; where there is none, the way back.
  /** @type {?HTMLElement} */ (body.querySelector("input, select, button"))?.focus();
}

/** @param {HTMLFormElement} form */
function values(form) {
  /** @type {Record<string, string|boolean>} */
  const found = {};
  for (const field of form.elements) {
    if (field instanceof HTMLInputElement && field.type === "checkbox") found[field.name] = field.checked;
    else if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement) found[field.name] = field.value;
  }
  return found;
}

/**
 * A number where it is one; else what was typed, for the server to say what is wrong with it.
 * @param {string|boolean} text
 */
export const numeric = (text) => (String(text).trim() === "" || Number.isNaN(Number(text)) ? text : Number(text));

/**
 * What a `datetime-local` holds, with the zone that this browser is in at that time.
 * @param {string|boolean} text
 */
export function zoned(text) {
  const at = new Date(String(text));
  if (Number.isNaN(at.getTime())) return text;
  const minutes = -at.getTimezoneOffset();
  const two = (/** @type {number} */ n) => String(Math.floor(n)).padStart(2, "0");
  const away = Math.abs(minutes);
  return `${text}:00${minutes < 0 ? "-" : "+"}${two(away / 60)}:${two(away % 60)}`;
}

/**
 * The other way: a moment as a `datetime-local` shows it.
 * @param {number} at
 */
export function local(at) {
  return new Date(at - new Date(at).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
