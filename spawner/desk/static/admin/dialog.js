/** Forms in a dialog. A form is created when it opens and never updated, so that new states keep the user's input. */

import { h, icon } from "../shared/dom.js";

/** @import { Problem } from "../shared/live.js" */

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {"text" | "number" | "datetime-local" | "checkbox" | "select"} type
 * @property {string} [value]
 * @property {string} [hint]
 * @property {{id: string, title: string}[]} [options]
 * @property {boolean} [narrow]  half as wide where there is room
 *
 * @typedef {object} Form
 * @property {string} title
 * @property {string} text
 * @property {Field[]} [fields]
 * @property {string} action
 * @property {string} cancel
 * @property {string} [also]  the text of a second button that submits the form; empty for none
 * @property {boolean} [danger]
 *
 * @typedef {Record<string, string | boolean | undefined>} Values  by field name; booleans are of checkboxes
 */

/** @param {Field} field */
function control({ name, label, type, value, hint, options, narrow }) {
  const id = `field-${name}`;
  const described = { id, name, "aria-describedby": hint ? `${id}-hint` : null };
  const input = type === "select"
    ? h("select", described, (options ?? []).map((option) => h(
      "option", { value: option.id, selected: option.id === value }, option.title,
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
 * Open a form. It stays open until `submit` returns null or the user cancels.
 * @param {Form} form
 * @param {(values: Values, also: boolean) => Promise<Problem | null>} submit  `also`: by the second button
 */
export function openForm(form, submit) {
  const alert = h("div", { role: "alert" });
  const body = /** @type {HTMLFormElement} */ (h(
    "form", { novalidate: true },
    h("h2", { id: "ask-title" }, form.title),
    h("p", { id: "ask-text" }, form.text),
    (form.fields ?? []).map(control),
    alert,
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
    alert.replaceChildren(h(
      "div", { class: "alert" }, icon("warning"),
      h("p", { class: "words" }, h("strong", {}, problem.message), problem.next && ` ${problem.next}`),
    ));
    alert.scrollIntoView({ block: "nearest" });
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  // The first field; without fields, the button that cancels.
  /** @type {HTMLElement | null} */ (body.querySelector("input, select, button"))?.focus();
}

/** @param {HTMLFormElement} form */
function values(form) {
  /** @type {Values} */
  const result = {};
  for (const field of form.elements) {
    if (field instanceof HTMLInputElement && field.type === "checkbox") result[field.name] = field.checked;
    else if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement) result[field.name] = field.value;
  }
  return result;
}

/**
 * The number that was typed. Other text is returned as it is: the server says what is wrong with it.
 * @param {Values[string]} text
 */
export const numeric = (text) => (String(text).trim() === "" || Number.isNaN(Number(text)) ? text : Number(text));

/**
 * The value of a `datetime-local` with the UTC offset that this browser's zone has at that time.
 * @param {Values[string]} text
 */
export function zoned(text) {
  const at = new Date(String(text));
  if (Number.isNaN(at.getTime())) return text;
  const minutes = -at.getTimezoneOffset();
  const two = (/** @type {number} */ n) => String(Math.floor(n)).padStart(2, "0");
  const offset = Math.abs(minutes);
  return `${text}:00${minutes < 0 ? "-" : "+"}${two(offset / 60)}:${two(offset % 60)}`;
}

/**
 * A time, in milliseconds, as the value of a `datetime-local`.
 * @param {number} at
 */
export function local(at) {
  return new Date(at - new Date(at).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
