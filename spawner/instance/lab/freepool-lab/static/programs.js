/** Address and token for other programs, such as VS Code. */

import { copyText, h, setText } from "./dom.js";

/** @import { Connection } from "./connection.js" */
/** @import { Apps } from "./apps.js" */
/** @import { Texts } from "./texts.js" */

export class Programs {
  /** @param {{ apps: Apps, connection: Connection, t: Texts }} parts */
  constructor({ apps, connection, t }) {
    this.apps = apps;
    this.connection = connection;
    this.t = t;
    this.hint = h("p", { role: "status" });
    this.text = /** @type {HTMLInputElement} */ (h("input", { type: "text", readonly: true, hidden: true, class: "jp-mod-styled", "aria-label": t.say("program_address") }));
    this.end = h("button", { type: "button", hidden: true, class: "freepool-link", click: () => this.revoke() }, t.say("program_revoke"));
    this.node = h("section", {}, h("h3", {}, t.say("programs")),
      h("button", { type: "button", class: "jp-mod-styled", click: () => this.make() }, t.say("program_copy")),
      this.text, this.hint, this.end);
  }

  async make() {
    const { connection, t } = this;
    const made = await this.apps.call("POST", "program-token", {});
    if (!made) {
      setText(this.hint, t.say("failed"));
      return;
    }
    const base = made.url || new URL(connection.base.replace(/freepool\/$/, ""), location.href).href;
    const address = `${base}?token=${made.token}`;
    const isCopied = await copyText(address);
    this.text.value = address;
    this.text.hidden = isCopied;
    this.end.hidden = false;
    if (!isCopied) this.text.select();
    const time = t.at(made.until * 1000, connection.now());
    setText(this.hint, `${t.say(isCopied ? "copied" : "copy_by_hand")} ${t.say("program_until", { time })}`);
  }

  async revoke() {
    const done = await this.apps.call("DELETE", "program-token");
    setText(this.hint, this.t.say(done ? "program_revoked" : "failed"));
    this.end.hidden = this.text.hidden = Boolean(done);
  }
}
