/** Apps on a port of this notebook: which there are, open, share. */

import { copyText, h, setText } from "./dom.js";

/** @import { AppsState, AppShare, Commands, LabApp, Launcher } from "../types.d.ts" */
/** @import { Connection } from "./connection.js" */
/** @import { Texts } from "./texts.js" */

const LOOK_MS = 5000;
/** A link works for so long, or as long as the notebook. */
const SHARE_HOURS = 8;
const PORTS = { min: "1024", max: "65535" };
/** Names of the notebook's loopback interface, in addresses that programs print. */
const LOOPBACK = ["127.0.0.1", "localhost", "0.0.0.0"];

/**
 * @param {string} href
 * @returns {{ port: number, path: string } | null} null where it is no address of an app in this notebook
 */
function localApp(href) {
  const url = URL.canParse(href) ? new URL(href) : null;
  // On one machine the platform itself has a port of localhost.
  if (!url || url.protocol !== "http:" || !LOOPBACK.includes(url.hostname) || !url.port || url.port === location.port) return null;
  return { port: Number(url.port), path: url.pathname + url.search };
}

export class Apps {
  /** @param {{ app: LabApp, connection: Connection, t: Texts }} parts */
  constructor({ app, connection, t }) {
    this.app = app;
    this.connection = connection;
    this.t = t;
    /** @type {AppsState | null} */
    this.state = null;
    this.shown = "";
    this.hint = h("p", { role: "status" });
    this.list = h("div", {});
    this.made = h("div", {});
    this.shares = h("div", {});
    this.port = /** @type {HTMLInputElement} */ (h("input", { type: "number", class: "jp-mod-styled", ...PORTS, "aria-label": t.say("app_port"), placeholder: t.say("app_port") }));
    this.other = h("form", { class: "freepool-port", submit: (event) => this.#openOther(event) },
      this.port, h("button", { class: "jp-mod-styled" }, t.say("app_open_port")));
    this.node = h("section", { hidden: true }, h("h3", {}, t.say("apps")),
      this.list, this.other, this.made, this.shares, this.hint);
  }

  /** Look now and then, while somebody sees it. */
  start() {
    const look = () => { if (!document.hidden && this.node.offsetParent) this.look(); };
    setInterval(look, LOOK_MS);
    new IntersectionObserver(look).observe(this.node.parentElement ?? this.node);
    for (const kind of ["click", "auxclick"]) document.addEventListener(kind, (event) => this.#lead(event), { capture: true });
    this.look();
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   * @returns {Promise<any>} false where it is refused, null where there is no answer
   */
  async call(method, path, body) {
    try {
      const response = await this.connection.request(`${this.connection.base}${path}`, { method, ...(body ? { body: JSON.stringify(body) } : {}) });
      return response.ok && (response.status === 204 ? {} : await response.json());
    } catch {
      return null;
    }
  }

  async look() {
    const state = this.connection.end ? null : await this.call("GET", "apps");
    if (!state || JSON.stringify(state) === this.shown) return;
    this.shown = JSON.stringify(state);
    this.state = state;
    this.draw();
  }

  draw() {
    const { state, t } = this;
    if (!state) return;
    this.node.hidden = state.off === "unknown";
    this.other.hidden = state.off !== "";
    const why = { "": "", unknown: "", admin: t.say("apps_off_admin"), shared_loopback: t.say("apps_off_loopback") }[state.off];
    this.list.replaceChildren(...(why ? [h("p", {}, why)] : state.ports.length ? state.ports.map((one) => this.#row(one)) : [h("p", {}, t.say("apps_none"))]),
      ...(why || state.hosts ? [] : [h("p", {}, t.say("apps_same_origin"))]));
    this.shares.replaceChildren(...state.shares.map((share) => this.#shareRow(share)));
  }

  /** @param {{ port: number, program: string }} app */
  #row({ port, program }) {
    const { t } = this;
    return h("p", { class: "freepool-app" }, h("strong", {}, String(port)), ` ${program} `,
      h("a", { href: this.address(port), target: "_blank", rel: "noopener", "aria-label": t.say("app_open_named", { port }) }, t.say("app_open")), " ",
      this.state?.share ? h("button", { type: "button", class: "freepool-link", click: () => this.share(port) }, t.say("app_share", { port })) : "");
  }

  /** @param {AppShare} share */
  #shareRow({ id, port, until, connections }) {
    const { t } = this;
    const time = t.at(until * 1000, this.connection.now());
    return h("p", { class: "freepool-app" }, t.say("app_shared", { port, time, n: connections }), " ",
      h("button", { type: "button", class: "freepool-link", click: () => this.revoke(id) }, t.say("app_revoke", { port })));
  }

  /** @param {number} port */
  address(port) { return `${this.connection.base}apps/open/${port}`; }

  /**
   * A link that a program printed, such as gradio's `http://127.0.0.1:7860`, would lead to the user's own computer.
   * @param {Event} event
   */
  #lead({ target }) {
    const link = target instanceof Element ? target.closest("a") : null;
    const app = link && this.state?.off === "" ? localApp(link.href) : null;
    if (!link || !app) return;
    link.href = `${this.address(app.port)}?next=${encodeURIComponent(app.path)}`;
    link.target = "_blank";
    link.rel = "noopener";
  }

  /** @param {Event} event */
  #openOther(event) {
    event.preventDefault();
    if (this.port.value && this.port.reportValidity()) window.open(this.address(Number(this.port.value)), "_blank", "noopener");
  }

  /** @param {number} port */
  async share(port) {
    const { t } = this;
    const made = await this.call("POST", "apps/shares", { port, hours: SHARE_HOURS });
    setText(this.hint, made ? "" : t.say("app_not_shared"));
    if (!made) return;
    const time = t.at(made.until * 1000, this.connection.now());
    const text = /** @type {HTMLInputElement} */ (h("input", { type: "text", readonly: true, class: "jp-mod-styled", value: made.url, "aria-label": t.say("app_link") }));
    const copied = h("p", { role: "status" });
    this.made.replaceChildren(h("p", {}, t.say("app_link_text", { port, time })), text,
      h("button", { type: "button", class: "jp-mod-styled", click: async () => setText(copied, t.say(await copyText(made.url) ? "copied" : "copy_by_hand")) }, t.say("app_copy")),
      copied);
    text.select();
    await this.look();
  }

  /** @param {string} id */
  async revoke(id) {
    const done = await this.call("DELETE", `apps/shares/${id}`);
    await this.look();
    const isGone = done || !this.state?.shares.some((share) => share.id === id); // it may have expired before
    if (isGone) this.made.replaceChildren();
    setText(this.hint, this.t.say(isGone ? "app_revoked" : "failed"));
  }

  /**
   * Tiles for the programs that are installed.
   * @param {Commands} commands
   * @param {Launcher} launcher
   */
  async addTiles(commands, launcher) {
    const state = await this.call("GET", "apps");
    for (const { id, title } of state ? /** @type {AppsState} */ (state).tools : []) {
      const command = `freepool:app-${id}`;
      commands.addCommand(command, { label: title, caption: this.t.say("app_tile", { title }), execute: () => this.startTool(id) });
      launcher.add({ command, category: this.t.say("apps"), rank: 1 });
    }
  }

  /** @param {string} id */
  async startTool(id) {
    // Now, while the browser knows that somebody has clicked.
    const page = window.open("about:blank", "_blank");
    const started = await this.call("POST", `apps/tools/${id}`, {});
    setText(this.hint, started ? "" : this.t.say("failed"));
    if (!started) {
      if (page) page.document.body.textContent = this.t.say("failed");
      return;
    }
    if (page) {
      page.opener = null;
      page.location.href = `${this.connection.base}${started.path}`;
    }
    if (started.terminal) await this.app.commands.execute("terminal:open", { name: started.terminal });
  }
}
