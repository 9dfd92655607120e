/** The download of all files. What is typed in this page and not saved yet is saved first: the server cannot know it. */

import { saveDocuments } from "./documents.js";
import { h } from "./dom.js";

/** @import { DocumentManager, LabApp } from "../types.d.ts" */
/** @import { Connection } from "./connection.js" */
/** @import { Texts } from "./texts.js" */

const NAME = "freepool-files.zip";

export class Download {
  /** @param {{ app: LabApp, connection: Connection, documents: DocumentManager, t: Texts }} parts */
  constructor({ app, connection, documents, t }) {
    this.app = app;
    this.documents = documents;
    this.t = t;
    this.url = `${connection.base}files.zip`;
  }

  /** A link that downloads. */
  link() {
    const start = (/** @type {Event} */ event) => {
      event.preventDefault();
      this.start();
    };
    return h("a", { href: this.url, download: NAME, click: start }, this.t.say("download"));
  }

  async start() {
    await this.save();
    h("a", { href: this.url, download: NAME }).click();
  }

  /** Save open documents. JupyterLab says itself which ones it could not save. */
  save() { return saveDocuments(this.app, this.documents); }
}
