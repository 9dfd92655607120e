/**
 * What is shown when the instance has ended: why, what is lost, what this page still has, and where to go on. Instead of
 * JupyterLab's "Server unavailable… restart?", whose button starts another instance at once.
 */

import { openDocuments } from "./documents.js";
import { h, safeUrl } from "./dom.js";

/** @import { DocumentManager, LabApp } from "../types.d.ts" */
/** @import { Connection } from "./connection.js" */
/** @import { Texts } from "./texts.js" */

/** After these reasons a new instance has replaced this one. After others: why it has ended, and what was kept. */
const REPLACED = new Set(["restarted", "stopped", "superseded", "switched"]);

export class EndDialog {
  /** @param {{ app: LabApp, connection: Connection, documents: DocumentManager, t: Texts }} parts */
  constructor({ app, connection, documents, t }) {
    this.app = app;
    this.connection = connection;
    this.documents = documents;
    this.t = t;
    /** @type {HTMLDialogElement | null} */
    this.dialog = null;
    this.drawn = "";
    connection.addEventListener("change", () => { if (connection.end) this.#draw(); });
  }

  /** Show it again after it was closed. */
  show() {
    this.#draw();
    if (this.dialog && !this.dialog.open) this.dialog.showModal();
  }

  #draw() {
    const { connection: { end }, t } = this;
    if (!end) return;
    const text = JSON.stringify(end);
    if (text === this.drawn) return;
    this.drawn = text;
    const isNew = !this.dialog;
    const dialog = this.dialog ?? /** @type {HTMLDialogElement} */ (
      h("dialog", { class: "freepool-end", "aria-labelledby": "freepool-end-title" }));
    this.dialog = dialog;
    const hadFocus = dialog.contains(document.activeElement) ? document.activeElement?.id : "";
    dialog.replaceChildren(...this.#content(end.next_state));
    if (isNew) {
      document.body.append(dialog);
      // JupyterLab's shortcuts shall not act on the page behind it.
      dialog.addEventListener("keydown", (event) => event.stopPropagation());
      dialog.showModal();
    } else if (hadFocus) document.getElementById(hadFocus)?.focus();
    dialog.setAttribute("lang", t.language);
  }

  /** @param {"starting" | "running" | null} next */
  #content(next) {
    const { connection, t } = this;
    const { end } = connection;
    const kept = openDocuments(this.app, this.documents);
    const isReplaced = next !== null && REPLACED.has(end?.reason ?? "");
    const button = (/** @type {string} */ id, /** @type {string} */ href, /** @type {string} */ label, accept = false) => (
      h("a", { id, href, class: `freepool-button${accept ? " freepool-accept" : ""}` }, label));
    return [
      h("h2", { id: "freepool-end-title" }, t.say(isReplaced ? "replaced_title" : "end_title")),
      h("p", {}, isReplaced ? t.say("replaced_text") : end?.text ?? ""),
      next && !isReplaced && h("p", {}, t.say("next_started")),
      h("p", {}, t.say("end_wiped")),
      kept.length > 0 ? h("p", {}, t.say("end_documents")) : h("p", {}, t.say("end_none")),
      kept.length > 0 && h("ul", {}, ...kept.map(({ path, dirty, save }) => h(
        "li", {}, h("button", { type: "button", class: "freepool-link", click: save }, path), dirty && ` (${t.say("unsaved")})`,
      ))),
      h(
        "div", { class: "freepool-buttons" },
        next === "running" && button("freepool-open-new", this.connection.base.replace(/freepool\/$/, "lab"), t.say("open_new"), true),
        next === "starting" && h("p", { role: "status" }, t.say("new_starting")),
        !next && button("freepool-again", safeUrl(end?.restart_url), t.say("start_again"), true),
        button("freepool-desk", safeUrl(end?.desk_url), t.say("desk")),
        h("button", { id: "freepool-stay", type: "button", class: "freepool-button", click: () => this.dialog?.close() }, t.say("stay")),
      ),
      !next && h("p", { class: "freepool-hint" }, t.say("start_again_hint")),
    ].filter((child) => child instanceof Node);
  }
}
