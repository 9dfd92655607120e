/** The side panel: time, extension, allowance, what is in use, download, and what happens at the end. */

import { h, safeUrl, setText } from "./dom.js";
import { urgency } from "./status.js";

/** @import { Kit, LabApp, Notice, Session } from "../types.d.ts" */
/** @import { Apps } from "./apps.js" */
/** @import { Connection } from "./connection.js" */
/** @import { Download } from "./download.js" */
/** @import { Programs } from "./programs.js" */
/** @import { Share } from "./share.js" */
/** @import { Texts } from "./texts.js" */
/** @import { Usage } from "./usage.js" */

const ID = "freepool-panel";
const ICON = `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24"><path class="jp-icon3" fill="#616161"
  d="M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zm0 18a8 8 0 1 1 0-16 8 8 0 0 1 0 16zm.8-13H11v6l5.2 3.1.8-1.3-4.2-2.5z"/></svg>`;

/**
 * The extension button's text and what is said below it; null where the desk says nothing about extensions.
 * @param {Session | null} session
 * @param {Texts} t
 */
function extensionWords(session, t) {
  const extension = session?.extension;
  if (!extension) return null;
  const more = extension.left === 1 ? t.say("extend_once") : extension.left > 1 ? t.say("extend_left", { n: extension.left }) : "";
  return {
    label: t.say("extend", { time: t.duration(extension.seconds) }),
    hint: extension.possible ? more : extension.text ?? "",
    possible: extension.possible,
  };
}

/** @param {Session | null} session */
export const openNotices = (session) => (session?.notices ?? []).filter(({ answered_at }) => !answered_at);

export class Panel {
  /**
   * @param {{
   *   app: LabApp, apps: Apps, connection: Connection, download: Download, kit: Kit, programs: Programs, share: Share,
   *   usage: Usage, t: Texts,
   * }} parts
   */
  constructor({ app, apps, connection, download, kit, programs, share, usage, t }) {
    this.app = app;
    this.apps = apps;
    this.programs = programs;
    this.connection = connection;
    this.download = download;
    this.share = share;
    this.usage = usage;
    this.t = t;
    this.isBusy = false;
    this.problem = "";
    this.widget = new kit.widgets.Widget();
    this.widget.id = ID;
    this.widget.addClass("freepool-panel");
    this.widget.title.caption = t.say("panel");
    this.widget.title.icon = new kit.ui.LabIcon({ name: "freepool:clock", svgstr: ICON });
    this.parts = this.#build();
    app.shell.add(this.widget, "right", { rank: 50 });
    connection.addEventListener("change", () => this.draw());
    usage.addEventListener("change", () => this.draw());
    setInterval(() => { if (!document.hidden) this.draw(); }, 1000);
    this.draw();
  }

  open() { this.app.shell.activateById(ID); }

  #build() {
    const { t } = this;
    const row = () => h("p", {});
    const wiped = row();
    const parts = {
      title: h("p", { class: "freepool-what" }),
      state: h("p", { class: "freepool-state", role: "status" }),
      left: h("p", { class: "freepool-left" }),
      ends: row(),
      extend: /** @type {HTMLButtonElement} */ (h("button", { type: "button", class: "jp-mod-styled jp-mod-accept", click: () => this.extend() })),
      hint: row(),
      time: h("section", {}),
      wiped,
      files: h("section", {}, h("h3", {}, t.say("files")), wiped,
        h("p", {}, this.download.link()),
        h("p", {}, h("a", {
          href: `${this.connection.base}save`, target: "_blank", rel: "noopener", click: () => { this.download.save(); },
        }, t.say("save_elsewhere"))),
        this.share.node),
      messages: h("section", { hidden: true }),
      allowance: h("section", { hidden: true }),
      allowanceTitle: h("h3", {}),
      meter: /** @type {HTMLMeterElement} */ (h("meter", { min: "0", "aria-hidden": "true" })),
      allowanceLeft: row(),
      held: row(),
      resets: row(),
      usage: h("section", { hidden: true }),
      usageList: h("dl", {}),
      desk: /** @type {HTMLAnchorElement} */ (h("a", { target: "_blank", rel: "noopener" }, t.say("desk"))),
      report: /** @type {HTMLAnchorElement} */ (h("a", { target: "_blank", rel: "noopener" }, t.say("report"))),
      notify: h("button", { type: "button", class: "jp-mod-styled", click: () => this.#askPermission() }, t.say("notify")),
      notifyState: row(),
    };
    parts.allowance.append(parts.allowanceTitle, parts.meter, parts.allowanceLeft, parts.held, parts.resets);
    parts.time.append(h("h3", {}, t.say("time")), parts.left, parts.ends, parts.extend, parts.hint);
    parts.usage.append(h("h3", {}, t.say("usage")), parts.usageList);
    this.widget.node.append(
      h("h2", {}, t.say("heading")), parts.title, parts.state,
      parts.time, parts.messages, parts.allowance, parts.usage, this.apps.node, parts.files, this.programs.node,
      h("section", {}, h("p", {}, parts.desk), h("p", {}, parts.report), parts.notify, parts.notifyState),
    );
    return parts;
  }

  draw() {
    const { connection, parts, t } = this;
    const { session, link } = connection;
    const seconds = connection.left();
    const end = Date.parse(session?.ends_at ?? "");
    setText(parts.title, [session?.flavor_title, session?.image_title].filter(Boolean).join(" · "));
    setText(parts.state, link === "ended" ? connection.end?.text || t.say("ended_short")
      : link === "lost" ? t.say("not_connected")
        : link === "connecting" ? t.say("connecting") : session?.relay.away ? t.say("away") : "");
    setText(parts.wiped, t.say(session?.keeps_files ? "wiped_kept" : "wiped"));
    const runs = link !== "ended" && seconds !== null;
    parts.time.hidden = parts.files.hidden = this.programs.node.hidden = link === "ended";
    if (link === "ended") this.apps.node.hidden = true;
    setText(parts.left, runs ? t.left(seconds) : "");
    parts.left.dataset.level = runs ? urgency(seconds) : "";
    setText(parts.ends, runs ? t.say("ends", { time: t.at(end, connection.now()) }) : "");
    const words = link === "live" ? extensionWords(session, t) : null;
    parts.extend.hidden = !words;
    setText(parts.extend, this.isBusy ? t.say("extending") : words?.label ?? "");
    parts.extend.setAttribute("aria-disabled", String(this.isBusy || !words?.possible));
    setText(parts.hint, this.problem || words?.hint || "");
    parts.desk.href = safeUrl(connection.end?.desk_url ?? session?.desk_url);
    parts.report.href = parts.desk.href && new URL("report", parts.desk.href).href;
    this.#drawAllowance();
    this.#drawUsage();
    this.#drawMessages();
    this.#drawPermission();
  }

  #drawAllowance() {
    const { connection, parts, t } = this;
    const allowance = connection.session?.allowance;
    parts.allowance.hidden = !allowance || connection.end !== null;
    if (!allowance) return;
    const { title, total_seconds: total, left_seconds: left, held_seconds: held, resets_at: resets } = allowance;
    const limited = typeof total === "number" && typeof left === "number";
    setText(parts.allowanceTitle, t.say("allowance", { title }));
    parts.meter.hidden = !limited;
    parts.meter.max = limited ? Math.max(total, 1) : 1;
    parts.meter.value = limited ? left : 0;
    setText(parts.allowanceLeft, limited
      ? t.say("allowance_left", { left: t.duration(left), total: t.duration(total) }) : t.say("allowance_any"));
    setText(parts.held, held ? t.say("held", { time: t.duration(held) }) : "");
    setText(parts.resets, resets ? t.say("resets", { time: t.at(Date.parse(resets), connection.now()) }) : "");
  }

  #drawUsage() {
    const { parts, t, usage: { numbers } } = this;
    /** @type {[string, string][]} */
    const rows = [];
    for (const key of /** @type {const} */ (["memory", "disk"])) {
      const { used, limit } = numbers?.[key] ?? {};
      if (typeof used !== "number") continue;
      rows.push([t.say(key), limit ? t.say("used", { used: t.size(used), limit: t.size(limit) })
        : t.say("used_only", { used: t.size(used) })]);
    }
    const { percent, limit } = numbers?.cpu ?? {};
    if (typeof percent === "number") {
      rows.push([t.say("cpu"), limit ? t.say("cpu_used", { used: Number(((percent * limit) / 100).toFixed(1)), limit }) : `${Math.round(percent)} %`]);
    }
    parts.usage.hidden = rows.length === 0;
    const text = JSON.stringify(rows);
    if (parts.usageList.dataset.rows === text) return;
    parts.usageList.dataset.rows = text;
    parts.usageList.replaceChildren(...rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
  }

  #drawMessages() {
    const { connection, parts, t } = this;
    const open = connection.end ? [] : openNotices(connection.session);
    const announcement = connection.end ? null : connection.session?.announcement;
    parts.messages.hidden = open.length === 0 && !announcement;
    const text = JSON.stringify([announcement?.id, ...open.map(({ id }) => id)]);
    if (parts.messages.dataset.ids === text) return;
    parts.messages.dataset.ids = text;
    parts.messages.replaceChildren(h("h3", {}, t.say("messages")), ...(announcement ? [h("p", {}, announcement.text)] : []), ...open.map((/** @type {Notice} */ notice) => (
      h("div", { class: "freepool-message" }, h("p", {}, h("strong", {}, notice.title)), h("p", {}, notice.text)))));
  }

  #drawPermission() {
    const { parts, t } = this;
    const state = "Notification" in window && window.isSecureContext ? Notification.permission : null;
    parts.notify.hidden = state !== "default";
    setText(parts.notifyState, state === "granted" ? t.say("notify_on") : state === "denied" ? t.say("notify_off") : "");
  }

  async #askPermission() {
    await Notification.requestPermission();
    this.draw();
  }

  async extend() {
    if (this.parts.extend.getAttribute("aria-disabled") === "true") return;
    this.isBusy = true;
    this.problem = "";
    this.draw();
    try {
      await this.connection.post("session/extend", {}, this.t.say("failed"));
    } catch (error) {
      this.problem = error instanceof Error ? error.message : "";
    }
    this.isBusy = false;
    this.draw();
  }
}
