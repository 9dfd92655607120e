/** The dialog that asks before anything is deleted. */

import { h, patch } from "../shared/dom.js";

const dialog = /** @type {HTMLDialogElement} */ (
  h("dialog", { class: "confirm", "aria-labelledby": "confirm-title", "aria-describedby": "confirm-text" })
);
document.body.append(dialog);

// A click on the backdrop has the dialog itself as its target.
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close("cancel"); });

// Each question has a part of its own: what an earlier one still waits for must not appear in it.
let asked = 0;

/** @type {((confirmed: boolean) => void) | null} */
let resolveQuestion = null;

// The close event is asynchronous: the next question may be open by then.
const resolve = () => resolveQuestion?.(dialog.returnValue === "yes");
dialog.addEventListener("close", () => { if (!dialog.open) resolve(); });

/**
 * Ask. A question that is still open is answered with its current value first.
 * @param {{title: string, text: string, action: string, cancel: string, more?: Node | null}} texts
 *   `more` is shown below the text
 * @returns {Promise<boolean>}
 */
export function confirmed({ title, text, action, cancel, more = null }) {
  resolve();
  patch(dialog, [h(
    "form", { method: "dialog" },
    h("h2", { id: "confirm-title" }, title),
    h("p", { id: "confirm-text" }, text),
    h("div", { class: "confirm-more", key: `more-${++asked}` }, more),
    h(
      "div", { class: "confirm-end" },
      h("button", { class: "button", value: "cancel", autofocus: true }, cancel),
      h("button", { class: "button danger", value: "yes" }, action),
    ),
  )]);
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((answer) => { resolveQuestion = answer; });
}

/** Cancel the open question, if any. */
export const cancelConfirm = () => { if (dialog.open) dialog.close("cancel"); };
