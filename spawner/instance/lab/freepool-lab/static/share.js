/** A button that makes a link to the open file, where that is in a Git repository that others can reach. */

import { h, safeUrl, setText } from "./dom.js";

/** @import { DocumentManager, LabApp } from "../types.d.ts" */
/** @import { Connection } from "./connection.js" */
/** @import { Texts } from "./texts.js" */

export class Share {
  /** @param {{ app: LabApp, connection: Connection, documents: DocumentManager, t: Texts }} parts */
  constructor({ app, connection, documents, t }) {
    this.app = app;
    this.connection = connection;
    this.documents = documents;
    this.t = t;
    this.hint = h("p", { role: "status" });
    this.node = h("div", {},
      h("button", { type: "button", class: "jp-mod-styled", click: () => this.share() }, t.say("share")), this.hint);
  }

  async share() {
    const { app, connection, documents, t } = this;
    const current = app.shell.currentWidget;
    const path = (current && documents.contextForWidget(current)?.path) ?? "";
    setText(this.hint, path ? "" : t.say("share_nothing"));
    if (!path) return;
    let query = null;
    try {
      const answer = await connection.request(`${connection.base}link?path=${encodeURIComponent(path)}`, {});
      if (answer.ok) query = (await answer.json()).query;
    } catch { /* said below */ }
    if (!query) {
      setText(this.hint, t.say("share_local"));
      return;
    }
    const page = new URL(`open/badge?${query}`, safeUrl(connection.session?.desk_url)).href;
    window.open(page, "_blank", "noopener");
  }
}
