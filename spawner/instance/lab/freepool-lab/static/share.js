/** Makes links to files that are in a Git repository that others can reach: to the open file, by a button of the panel,
 * and to any file or folder, by the file browser's context menu. */

import { h, safeUrl, setText } from "./dom.js";

/** @import { DocumentManager, FileBrowserFactory, Kit, LabApp } from "../types.d.ts" */
/** @import { Connection } from "./connection.js" */
/** @import { Texts } from "./texts.js" */

const COMMAND = "freepool-lab:share";
const SHOWN_MS = 8000;
/** After JupyterLab's "Copy Shareable Link", which leads into this very notebook. */
const RANK = 13.5;

export class Share {
  /** @param {{ app: LabApp, connection: Connection, documents: DocumentManager, t: Texts }} parts */
  constructor({ app, connection, documents, t }) {
    this.app = app;
    this.connection = connection;
    this.documents = documents;
    this.t = t;
    this.hint = h("p", { role: "status" });
    this.node = h("div", {},
      h("button", { type: "button", class: "jp-mod-styled", click: () => this.#shareOpen() }, t.say("share")), this.hint);
  }

  /**
   * @param {FileBrowserFactory} browsers
   * @param {Kit} kit
   */
  addToMenu(browsers, kit) {
    const { app, t } = this;
    /** @param {string} text */
    const tell = (text) => { if (text) kit.apputils.Notification.emit(text, "info", { autoClose: SHOWN_MS }); };
    app.commands.addCommand(COMMAND, {
      label: t.say("share_selected"),
      execute: async () => {
        const [item] = browsers.tracker.currentWidget?.selectedItems() ?? [];
        if (item) await this.#share(item.path, tell);
      },
    });
    app.contextMenu.addItem({ command: COMMAND, selector: ".jp-DirListing-item[data-isdir]", rank: RANK });
  }

  async #shareOpen() {
    const current = this.app.shell.currentWidget;
    const path = (current && this.documents.contextForWidget(current)?.path) ?? "";
    /** @param {string} text */
    const tell = (text) => setText(this.hint, text);
    if (path) await this.#share(path, tell);
    else tell(this.t.say("share_nothing"));
  }

  /**
   * Opens the page that makes the link and its badge.
   * @param {string} path
   * @param {(text: string) => void} tell  says why not; an empty text where it did
   */
  async #share(path, tell) {
    const { connection, t } = this;
    let query = null;
    try {
      const answer = await connection.request(`${connection.base}link?path=${encodeURIComponent(path)}`, {});
      if (answer.ok) query = (await answer.json()).query;
    } catch { /* said below */ }
    tell(query ? "" : t.say("share_local"));
    if (!query) return;
    const page = new URL(`open/badge?${query}`, safeUrl(connection.session?.desk_url)).href;
    window.open(page, "_blank", "noopener");
  }
}
