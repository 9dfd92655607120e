/** Asking before anything is lost. */

import { h, patch } from "../shared/dom.js";

const dialog = /** @type {HTMLDialogElement} */ (
  h("dialog", { class: "confirm", "aria-labelledby": "confirm-title", "aria-describedby": "confirm-text" })
);
document.body.append(dialog);

// A click on the backdrop has the dialog itself as its target.
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close("cancel"); });

/** @type {?(yes: boolean) => void} */
let settle = null;

// The browser tells of a close a moment later: by then the next question may stand there already.
const settled = () => settle?.(dialog.returnValue === "yes");
dialog.addEventListener("close", () => { if (!dialog.open) settled(); });

/**
 * @param {{title: string, text: string, action: string, cancel: string}} words
 * @returns {Promise<boolean>}
 */
export function confirmed({ title, text, action, cancel }) {
  settled();
  patch(dialog, [h(
    "form", { method: "dialog" },
    h("h2", { id: "confirm-title" }, title),
    h("p", { id: "confirm-text" }, text),
    h(
      "div", { class: "confirm-end" },
      h("button", { class: "button", value: "cancel", autofocus: true }, cancel),
      h("button", { class: "button danger", value: "yes" }, action),
    ),
  )]);
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((resolve) => { settle = resolve; });
}

/** There is nothing left to ask about. */
export const withdraw = () => { if (dialog.open) dialog.close("cancel"); };
